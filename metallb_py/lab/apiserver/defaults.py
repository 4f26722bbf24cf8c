"""Defaults of new objects, cluster addresses, and EndpointSlices, as Kubernetes makes them."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Network

from metallb_py.errors import NotFoundError
from metallb_py.lab.apiserver.resources import RESOURCES
from metallb_py.lab.apiserver.store import Json, Object, Store, metadata

SERVICE_CIDR = IPv4Network("10.96.0.0/16")
BY_KIND = {resource.kind: resource for resource in RESOURCES}
SERVICES, PODS, SLICES = BY_KIND["Service"], BY_KIND["Pod"], BY_KIND["EndpointSlice"]


def complete_service(store: Store, service: Object) -> None:
    """Set a service's defaults and its cluster address."""
    spec = part(service, "spec")
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if not spec.get("clusterIP"):
        taken = {part(other, "spec").get("clusterIP") for other in store.list(SERVICES)}
        free = (str(a) for a in SERVICE_CIDR.hosts() if str(a) not in taken)
        spec["clusterIP"] = next(free)
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("LoadBalancer", "NodePort"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    for port in items(spec.get("ports")):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    status = part(service, "status")
    if spec["type"] == "LoadBalancer":
        for entry in items(part(status, "loadBalancer").get("ingress")):
            entry.setdefault("ipMode", "VIP")  # as servers do since Kubernetes 1.30
    else:
        status["loadBalancer"] = {}


async def keep_slices(store: Store) -> None:
    """Keep EndpointSlices for Services and Pods, until cancelled."""
    version = 0
    while True:
        for service in store.list(SERVICES):
            await _make_slice(store, service)
        for item in store.list(SLICES):
            await _drop_orphan(store, item)
        version = store.version
        await store.wait(version)


async def _make_slice(store: Store, service: Object) -> None:
    selector = part(service, "spec").get("selector")
    if not isinstance(selector, dict) or not selector:
        return
    namespace, name = names(service)
    pods = [p for p in store.list(PODS, namespace) if _selected(p, selector)]
    ports = [
        {"name": p.get("name", ""), "port": p.get("targetPort"), "protocol": p.get("protocol")}
        for p in items(part(service, "spec").get("ports"))
    ]
    slice_name = f"{name}-lab"
    wanted: Object = {
        "apiVersion": SLICES.api_version,
        "kind": SLICES.kind,
        "metadata": {
            "name": slice_name,
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod) for pod in pods],
        "ports": list(ports),
    }
    try:
        found = store.get(SLICES, namespace, slice_name)
    except NotFoundError:
        await store.create(SLICES, namespace, wanted)
        return
    if (found["endpoints"], found["ports"]) != (wanted["endpoints"], wanted["ports"]):
        await store.update(SLICES, namespace, slice_name, wanted)


async def _drop_orphan(store: Store, item: Object) -> None:
    namespace, name = names(item)
    service = part(metadata(item), "labels").get("kubernetes.io/service-name")
    try:
        store.get(SERVICES, namespace, str(service))
    except NotFoundError:
        with contextlib.suppress(NotFoundError):  # it was deleted meanwhile
            await store.delete(SLICES, namespace, name)


def _selected(pod: Object, selector: dict[str, Json]) -> bool:
    labels = part(metadata(pod), "labels")
    has_address = bool(part(pod, "status").get("podIP"))
    return has_address and all(labels.get(key) == value for key, value in selector.items())


def _endpoint(pod: Object) -> Json:
    status = part(pod, "status")
    conditions = items(status.get("conditions"))
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return {
        "addresses": [status["podIP"]],
        "nodeName": part(pod, "spec").get("nodeName"),
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
    }


def names(item: Object) -> tuple[str, str]:
    """Return an object's namespace and name."""
    meta = metadata(item)
    return str(meta.get("namespace", "")), str(meta["name"])


def part(item: Object, key: str) -> Object:
    """Return a part of an object that is an object itself; add it where it is missing."""
    value = item.get(key)
    if not isinstance(value, dict):
        value = item[key] = {}
    return value


def items(value: Json) -> list[Object]:
    """Return the objects in a list, to read or to change."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
