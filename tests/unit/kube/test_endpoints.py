"""Nodes of the endpoints of a service, from the JSON of both APIs."""

from __future__ import annotations

import json

import msgspec

from metallb_py.kube.endpoints import ServiceEndpoints, SliceIndex, from_endpoints, from_slices
from metallb_py.kube.objects import Endpoints, EndpointSlice


def slice_of(
    *endpoints: dict[str, object], name: str = "web-1", service: str = "web"
) -> EndpointSlice:
    meta = {
        "name": name,
        "namespace": "default",
        "labels": {"kubernetes.io/service-name": service},
    }
    text = json.dumps({"metadata": meta, "endpoints": list(endpoints), "addressType": "IPv4"})
    return msgspec.json.decode(text, type=EndpointSlice)


def endpoint(address: str, node: str | None = None, **conditions: bool | None) -> dict[str, object]:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def some(*nodes: str) -> ServiceEndpoints:
    """Return endpoints with one ready on each of these nodes."""
    return ServiceEndpoints(len(nodes), frozenset(nodes), serving=dict.fromkeys(nodes, 1))


def test_ready_unknown_and_serving_endpoints_are_usable() -> None:
    found = from_slices(
        [
            slice_of(
                endpoint("10.0.0.1", "n1", ready=True),
                endpoint("10.0.0.2", "n2"),
                endpoint("10.0.0.3", "n3", ready=False),
                endpoint("10.0.0.4", "n4", ready=False, serving=True, terminating=True),
                endpoint("10.0.0.5", None, ready=True),
            )
        ]
    )
    assert found == ServiceEndpoints(
        4,
        frozenset({"n1", "n2", "n4"}),
        leaving=frozenset({"n4"}),
        serving={"n1": 1, "n2": 1, "n4": 1},
    )


def test_an_address_in_two_slices_counts_once_and_unready_wins() -> None:
    one = slice_of(endpoint("10.0.0.1", "n1", ready=True))
    other = slice_of(endpoint("10.0.0.1", "n1", ready=False), name="web-2")
    assert from_slices([one, other]) == ServiceEndpoints(0)
    assert from_slices([other, one]) == ServiceEndpoints(0)
    assert from_slices([one, one]).usable == 1


def test_terminating_endpoints_serve_only_on_nodes_without_ready_ones() -> None:
    leaving = {"ready": False, "serving": True, "terminating": True}
    found = from_slices(
        [
            slice_of(
                endpoint("10.0.0.1", "n1", ready=True),
                endpoint("10.0.0.2", "n1", ready=True),
                endpoint("10.0.0.3", "n1", **leaving),
                endpoint("10.0.0.4", "n2", **leaving),
                endpoint("10.0.0.5", "n2", **leaving),
                endpoint("10.0.0.6", "n3", ready=False),
            )
        ]
    )
    assert found.serving == {"n1": 2, "n2": 2}


def test_dual_stack_endpoint_counts_once() -> None:
    pods = [("10.0.0.1", "fd00::1"), ("10.0.0.2", "fd00::2")]
    of_family = [
        slice_of(*(endpoint(pod[index], "n1", ready=True) for pod in pods), name=name)
        for index, name in enumerate(("web-4", "web-6"))
    ]
    assert from_slices(of_family).serving == {"n1": 2}


def test_endpoints_object_is_read_where_there_are_no_slices() -> None:
    text = {
        "metadata": {"name": "web", "namespace": "default"},
        "subsets": [
            {
                "addresses": [{"ip": "10.0.0.1", "nodeName": "n1"}, {"ip": "10.0.0.2"}],
                "notReadyAddresses": [{"ip": "10.0.0.3", "nodeName": "n3"}],
            },
            {"notReadyAddresses": [{"ip": "10.0.0.1", "nodeName": "n1"}]},
        ],
    }
    found = from_endpoints(msgspec.json.decode(json.dumps(text), type=Endpoints))
    assert found == ServiceEndpoints(1, frozenset())
    empty = msgspec.json.decode(b'{"metadata":{"name":"x"},"subsets":null}', type=Endpoints)
    assert from_endpoints(empty) == ServiceEndpoints()


def test_slice_index_follows_added_and_deleted_slices() -> None:
    index = SliceIndex()
    first = slice_of(endpoint("10.0.0.1", "n1"))
    second = slice_of(endpoint("10.0.0.2", "n2"), name="web-2")
    assert index.changed(first.key, None, first)["default/web"] == some("n1")
    both = index.changed(second.key, None, second)["default/web"]
    assert both == some("n1", "n2")
    assert index.changed(first.key, first, None)["default/web"] == some("n2")
    assert index.changed(second.key, second, None) == {"default/web": None}


def test_a_slice_may_move_to_another_service() -> None:
    index = SliceIndex()
    old = slice_of(endpoint("10.0.0.1", "n1"))
    new = slice_of(endpoint("10.0.0.1", "n1"), service="api")
    index.changed(old.key, None, old)
    assert index.changed(old.key, old, new) == {
        "default/api": some("n1"),
        "default/web": None,
    }
