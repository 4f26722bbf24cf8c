"""Tables that ``kubectl get`` prints: the server chooses the columns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from metallb_py.lab.apiserver.defaults import items, part
from metallb_py.lab.apiserver.resources import Resource
from metallb_py.lab.apiserver.store import Json, Object, metadata

Cell = Callable[[Object, datetime], str]


def wants_table(accept: str) -> bool:
    """Whether a request asks for a table."""
    return "as=Table" in accept


def table(resource: Resource, found: list[Object], version: int, now: datetime) -> Object:
    """Return objects as a Table of ``meta.k8s.io/v1``."""
    columns = {"Name": _name} | _COLUMNS.get(resource.kind, {}) | {"Age": _age}
    wide = _WIDE.get(resource.kind, {})
    definitions: list[Json] = [_definition(name, 0) for name in columns]
    definitions += [_definition(name, 1) for name in wide]
    cells = [*columns.values(), *wide.values()]
    rows: list[Json] = [
        {"cells": [cell(item, now) for cell in cells], "object": _partial(item)} for item in found
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": str(version)},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def age(since: str, now: datetime) -> str:
    """Return the time since then, in one unit: ``42s``, ``7m``, ``3h``, ``2d``."""
    try:
        passed = now - datetime.fromisoformat(since)
    except ValueError:
        return "<unknown>"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed >= timedelta(seconds=2 * size):
            return f"{passed // timedelta(seconds=size)}{unit}"
    return f"{max(0, int(passed.total_seconds()))}s"


def now() -> datetime:
    """Return the time, for ``table``."""
    return datetime.now(UTC)


def _definition(name: str, priority: int) -> Object:
    kind = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": kind, "description": "", "priority": priority}


def _partial(item: Object) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata(item),
    }


def _name(item: Object, _: datetime) -> str:
    return str(metadata(item)["name"])


def _age(item: Object, now: datetime) -> str:
    return age(str(metadata(item).get("creationTimestamp", "")), now)


def _text(*path: str) -> Cell:
    """Return a cell that shows one value."""

    def cell(item: Object, _: datetime) -> str:
        value: Json = item
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return "<none>" if value in (None, "") else str(value)

    return cell


def _external(item: Object, _: datetime) -> str:
    entries = items(part(part(item, "status"), "loadBalancer").get("ingress"))
    addresses = [str(entry.get("ip") or entry.get("hostname")) for entry in entries]
    if part(item, "spec").get("type") != "LoadBalancer":
        return "<none>"
    return ",".join(addresses) or "<pending>"


def _ports(item: Object, _: datetime) -> str:
    ports = items(part(item, "spec").get("ports"))
    return ",".join(f"{port.get('port')}/{port.get('protocol')}" for port in ports) or "<none>"


def _selector(item: Object, _: datetime) -> str:
    selector = part(part(item, "spec"), "selector")
    return ",".join(f"{key}={value}" for key, value in selector.items()) or "<none>"


def _is_ready(item: Object) -> bool:
    conditions = items(part(item, "status").get("conditions"))
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _node_status(item: Object, _: datetime) -> str:
    return "Ready" if _is_ready(item) else "NotReady"


def _pod_ready(item: Object, _: datetime) -> str:
    count = len(items(part(item, "spec").get("containers")))
    return f"{count if _is_ready(item) else 0}/{count}"


def _node_address(item: Object, _: datetime) -> str:
    addresses = items(part(item, "status").get("addresses"))
    found = (a.get("address") for a in addresses if a.get("type") == "InternalIP")
    return str(next(found, "<none>"))


def _data(item: Object, _: datetime) -> str:
    return str(len(part(item, "data")))


def _endpoints(item: Object, _: datetime) -> str:
    found = [str(a) for e in items(item.get("endpoints")) for a in _list(e.get("addresses"))]
    return ",".join(found) or "<unset>"


def _slice_ports(item: Object, _: datetime) -> str:
    return ",".join(str(port.get("port")) for port in items(item.get("ports"))) or "<unset>"


def _involved_object(item: Object, _: datetime) -> str:
    involved = part(item, "involvedObject")
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


_COLUMNS: dict[str, dict[str, Cell]] = {
    "Service": {
        "Type": _text("spec", "type"),
        "Cluster-IP": _text("spec", "clusterIP"),
        "External-IP": _external,
        "Port(s)": _ports,
    },
    "Pod": {"Ready": _pod_ready, "Status": _text("status", "phase")},
    "Node": {"Status": _node_status, "Internal-IP": _node_address},
    "Namespace": {"Status": _text("status", "phase")},
    "ConfigMap": {"Data": _data},
    "Secret": {"Type": _text("type"), "Data": _data},
    "EndpointSlice": {
        "AddressType": _text("addressType"),
        "Ports": _slice_ports,
        "Endpoints": _endpoints,
    },
    "Event": {
        "Type": _text("type"),
        "Reason": _text("reason"),
        "Object": _involved_object,
        "Message": _text("message"),
    },
    "Lease": {"Holder": _text("spec", "holderIdentity")},
}
_WIDE: dict[str, dict[str, Cell]] = {
    "Service": {"Selector": _selector},
    "Pod": {"IP": _text("status", "podIP"), "Node": _text("spec", "nodeName")},
}
