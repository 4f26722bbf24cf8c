"""Tables, as printed by ``kubectl get``."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import Object
from metallb_py.lab.apiserver.tables import age, table, wants_table

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
HOUR_AGO = "2026-01-02T11:00:00Z"


def columns(kind: str, item: Object) -> dict[str, str]:
    """Return the cells of a table with one object, by column name."""
    made = table(BY_KIND[kind], [item], 7, NOW)
    definitions, rows = made["columnDefinitions"], made["rows"]
    assert isinstance(definitions, list)
    assert isinstance(rows, list)
    names = [d["name"] for d in definitions if isinstance(d, dict)]
    (row,) = rows
    assert isinstance(row, dict)
    cells = row["cells"]
    assert isinstance(cells, list)
    return {str(name): str(cell) for name, cell in zip(names, cells, strict=True)}


def named(name: str, **parts: Object) -> Object:
    return {"metadata": {"name": name, "creationTimestamp": HOUR_AGO}, **parts}


def test_table_of_a_service() -> None:
    spec: Object = {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.1",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
    }
    status: Object = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb"}]}}
    assert columns("Service", named("web", spec=spec, status=status)) == {
        "Name": "web",
        "Type": "LoadBalancer",
        "Cluster-IP": "10.96.0.1",
        "External-IP": "192.0.2.1,lb",
        "Port(s)": "80/TCP,53/UDP",
        "Age": "60m",
        "Selector": "app=web",
    }


def test_external_ip_of_a_service_is_pending_or_none() -> None:
    waiting = columns("Service", named("web", spec={"type": "LoadBalancer"}))
    assert waiting["External-IP"] == "<pending>"
    inside = columns("Service", named("web", spec={"type": "ClusterIP"}))
    assert (inside["External-IP"], inside["Cluster-IP"]) == ("<none>", "<none>")


def test_table_of_a_pod_and_of_a_node() -> None:
    ready: Object = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}
    spec: Object = {"containers": [{}, {}], "nodeName": "node1"}
    pod = columns("Pod", named("web-1", spec=spec, status={**ready, "podIP": "10.244.1.2"}))
    assert (pod["Ready"], pod["Status"], pod["IP"], pod["Node"]) == (
        "2/2",
        "Running",
        "10.244.1.2",
        "node1",
    )
    addresses: Object = {"addresses": [{"type": "InternalIP", "address": "172.30.0.11"}]}
    node = columns("Node", named("node1", status=addresses))
    assert (node["Status"], node["Internal-IP"]) == ("NotReady", "172.30.0.11")


def test_table_of_endpoint_slices_and_of_events() -> None:
    members: Object = {
        **named("web-lab"),
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [{"addresses": ["10.244.1.2"]}, {"addresses": ["10.244.2.2"]}],
    }
    assert columns("EndpointSlice", members)["Endpoints"] == "10.244.1.2,10.244.2.2"
    event: Object = {
        **named("web.1"),
        "type": "Normal",
        "reason": "IPAllocated",
        "message": "Assigned IP",
        "involvedObject": {"kind": "Service", "name": "web"},
    }
    cells = columns("Event", event)
    assert (cells["Object"], cells["Reason"]) == ("service/web", "IPAllocated")


def test_table_has_its_resource_version_and_the_objects_metadata() -> None:
    made = table(BY_KIND["Lease"], [named("l")], 7, NOW)
    assert (made["kind"], made["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert made["metadata"] == {"resourceVersion": "7"}
    (row,) = made["rows"] if isinstance(made["rows"], list) else ()
    assert isinstance(row, dict)
    assert row["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "l", "creationTimestamp": HOUR_AGO},
    }


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ("2026-01-02T12:00:00Z", "0s"),
        ("2026-01-02T11:59:18Z", "42s"),
        ("2026-01-02T11:58:30Z", "90s"),
        ("2026-01-02T11:53:00Z", "7m"),
        ("2026-01-02T09:00:00Z", "3h"),
        ("2025-12-31T11:00:00Z", "2d"),
        ("2026-01-02T12:00:09Z", "0s"),
        ("", "<unknown>"),
    ],
)
def test_age_as_printed_by_kubectl(since: str, text: str) -> None:
    assert age(since, NOW) == text


def test_table_is_requested_by_the_accept_header() -> None:
    assert wants_table("application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    assert not wants_table("application/json")
