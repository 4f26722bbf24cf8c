"""Resources of the embedded API server, and the documents of its discovery."""

from __future__ import annotations

from dataclasses import dataclass

VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object."""

    group: str
    """API group; empty for the core group."""
    version: str
    """Version of the group."""
    plural: str
    """Name in paths."""
    kind: str
    """Kind of its objects."""
    namespaced: bool = True
    """Whether its objects are in namespaces."""
    status: bool = False
    """Whether it has the subresource ``status``."""
    short: tuple[str, ...] = ()
    """Short names for kubectl."""

    @property
    def api_version(self) -> str:
        """``v1``, ``discovery.k8s.io/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """The path of the resource's group and version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


RESOURCES = (
    Resource("", "v1", "configmaps", "ConfigMap", short=("cm",)),
    Resource("", "v1", "endpoints", "Endpoints", short=("ep",)),
    Resource("", "v1", "events", "Event", short=("ev",)),
    Resource("", "v1", "namespaces", "Namespace", namespaced=False, status=True, short=("ns",)),
    Resource("", "v1", "nodes", "Node", namespaced=False, status=True, short=("no",)),
    Resource("", "v1", "pods", "Pod", status=True, short=("po",)),
    Resource("", "v1", "secrets", "Secret"),
    Resource("", "v1", "services", "Service", status=True, short=("svc",)),
    Resource("apps", "v1", "deployments", "Deployment", status=True, short=("deploy",)),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
)


def groups() -> dict[str, str]:
    """Return the named groups and their version."""
    return {resource.group: resource.version for resource in RESOURCES if resource.group}


def api_versions() -> dict[str, object]:
    """Return the answer for ``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"]}


def group_list() -> dict[str, object]:
    """Return the answer for ``/apis``."""
    found = []
    for group, version in groups().items():
        entry = {"groupVersion": f"{group}/{version}", "version": version}
        found.append({"name": group, "versions": [entry], "preferredVersion": entry})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def resource_list(group: str, version: str) -> dict[str, object] | None:
    """Return the answer for ``/api/v1`` or ``/apis/GROUP/VERSION``; None for an unknown group."""
    members = [r for r in RESOURCES if (r.group, r.version) == (group, version)]
    if not members:
        return None
    entries: list[dict[str, object]] = []
    for resource in members:
        entry: dict[str, object] = {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(VERBS),
            "shortNames": list(resource.short),
        }
        entries.append(entry)
        if resource.status:
            name = f"{resource.plural}/status"
            verbs = ["get", "patch", "update"]
            entries.append({**entry, "name": name, "verbs": verbs, "shortNames": []})
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": members[0].api_version,
        "resources": entries,
    }


def openapi_index() -> dict[str, object]:
    """Return the answer for ``/openapi/v3``."""
    prefixes = {resource.prefix.removeprefix("/") for resource in RESOURCES}
    paths = {p: {"serverRelativeURL": f"/openapi/v3/{p}?hash=1"} for p in sorted(prefixes)}
    return {"paths": paths}


def openapi(prefix: str) -> dict[str, object]:
    """Return the answer for ``/openapi/v3/PREFIX``: only that the server validates, for kubectl."""
    paths: dict[str, object] = {}
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    for resource in RESOURCES:
        if resource.prefix != f"/{prefix}":
            continue
        scope = "/namespaces/{namespace}" if resource.namespaced else ""
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        operation = {
            "x-kubernetes-group-version-kind": kind,
            "parameters": [parameter],
            "responses": {"200": {"description": "OK"}},
        }
        path = f"{resource.prefix}{scope}/{resource.plural}/{{name}}"
        paths[path] = {"patch": operation, "put": operation}
    return {"openapi": "3.0.0", "info": {"title": "lab", "version": "1"}, "paths": paths}
