"""Diagnosis of an address: the node that should answer, and the status of those that do."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from support.kube.objects import config, pool, service

from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.model.config import Protocol
from speaker.diagnosis import AnswererStatus, expected, find
from speaker.layer2.eligibility import Cluster, NodeState
from speaker.layer2.topology import NodeInterface
from speaker.where import View

ADDRESS = ip_address("10.20.30.1")  # node1, node2, node3 in this order
MACS = {f"node{n}": f"02:00:00:00:00:0{n}" for n in (1, 2, 3)}
NODES = {
    name: NodeState(interfaces=(NodeInterface("eth0", mac, (ip_network("10.20.30.0/24"),)),))
    for name, mac in MACS.items()
}
SOME = ServiceEndpoints(1, frozenset({"node2"}))
WEB = service("web", ips=("10.20.30.1",))
POOLS = config(
    pool("l2", "10.20.30.0/24"), pool("routed", "198.51.100.0/24", protocol=Protocol.BGP)
)


def view(*services: object, endpoints: ServiceEndpoints | None = SOME) -> View:
    found = services or (WEB,)
    known = {s.key: endpoints for s in found if endpoints}  # type: ignore[attr-defined]
    return View(found, known, Cluster(frozenset(NODES), NODES), POOLS)  # type: ignore[arg-type]


def test_the_elected_node_should_answer() -> None:
    due = expected(ADDRESS, view())
    assert (due.node, due.services) == ("node1", ("default/web",))
    local = service("web", ips=("10.20.30.1",), external_traffic_policy="Local")
    assert expected(ADDRESS, view(local)).node == "node2"


@pytest.mark.parametrize(
    ("address", "given", "why"),
    [
        ("10.20.30.2", view(), "no service has this address"),
        ("10.20.30.1", view(endpoints=ServiceEndpoints()), "no usable endpoint on any node"),
        ("10.20.30.1", view(endpoints=None), "it has no endpoints"),
        (
            "198.51.100.1",
            view(service("web", ips=("198.51.100.1",))),
            'its pool "routed" is announced by bgp',
        ),
    ],
)
def test_no_node_should_answer(address: str, given: View, why: str) -> None:
    due = expected(ip_address(address), given)
    assert due.node == ""
    assert why in due.why


@pytest.mark.parametrize(
    ("macs", "statuses", "right"),
    [
        ([MACS["node1"]], [AnswererStatus.ELECTED], True),
        ([MACS["node1"], MACS["node1"]], [AnswererStatus.ELECTED], True),
        ([], [], False),
        ([MACS["node2"]], [AnswererStatus.NOT_ELECTED], False),
        (
            [MACS["node1"], MACS["node3"]],
            [AnswererStatus.ELECTED, AnswererStatus.NOT_ELECTED],
            False,
        ),
        (["06:00:00:00:00:01"], [AnswererStatus.UNKNOWN_HOST], False),
    ],
)
def test_status_of_the_answers(
    macs: list[str], statuses: list[AnswererStatus], right: bool
) -> None:
    finding = find(ADDRESS, macs, view())
    assert [answer.status for answer in finding.answers] == statuses
    assert finding.is_right is right
