"""Nodes that may announce on layer 2, and the one that does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.kube.objects import pool, selector

from metallb_py.kube.endpoints import ServiceEndpoints
from speaker.layer2.eligibility import (
    SUBNET,
    AnnouncementRequest,
    Cluster,
    Exclusion,
    NodeState,
    eligible,
)
from speaker.layer2.topology import NodeInterface

ADDRESS = ip_address("10.20.30.1")  # node1, node2, node3 in this order
NODES = ("node1", "node2", "node3")
EVERYWHERE = ServiceEndpoints(3, frozenset(NODES))
REQUEST = AnnouncementRequest((ADDRESS,), pool("l2", "10.20.30.0/24"), EVERYWHERE)


def on(*subnets: str, name: str = "eth0") -> NodeState:
    """Return a node with an interface on these subnets."""
    return NodeState(
        interfaces=(NodeInterface(name, "02:00:00:00:00:01", tuple(map(ip_network, subnets))),)
    )


def cluster(*states: NodeState, any_interface: bool = False) -> Cluster:
    """Return the three nodes; the first ones have these states."""
    return Cluster(frozenset(NODES), dict(zip(NODES, states, strict=False)), any_interface)


def elected(request: AnnouncementRequest, members: Cluster) -> list[str]:
    return [node for node in NODES if eligible(request, node, members).positive]


@pytest.mark.parametrize(
    ("endpoints", "speakers", "local", "expected"),
    [
        (ServiceEndpoints(1, frozenset({"node3"})), NODES, False, ["node1"]),
        (ServiceEndpoints(1, frozenset({"node3"})), NODES, True, ["node3"]),
        (ServiceEndpoints(2, frozenset({"node3", "node2"})), NODES, True, ["node2"]),
        (ServiceEndpoints(1, frozenset({"node3"})), NODES[1:], False, ["node2"]),
        (ServiceEndpoints(1, frozenset({"node3"})), NODES[:2], True, []),
        (ServiceEndpoints(1), NODES, True, []),
        (ServiceEndpoints(1), NODES, False, ["node1"]),
        (ServiceEndpoints(), NODES, False, []),
        (ServiceEndpoints(1, frozenset({"node1"})), (), False, []),
    ],
)
def test_at_most_one_node_is_elected(
    endpoints: ServiceEndpoints, speakers: tuple[str, ...], local: bool, expected: list[str]
) -> None:
    request = replace(REQUEST, endpoints=endpoints, local=local)
    assert elected(request, Cluster(frozenset(speakers))) == expected


def test_local_services_leave_a_node_with_terminating_endpoints() -> None:
    leaving = ServiceEndpoints(2, frozenset({"node1", "node2"}), frozenset({"node1"}))
    assert elected(replace(REQUEST, endpoints=leaving, local=True), cluster()) == ["node2"]
    last = ServiceEndpoints(1, frozenset({"node1"}), frozenset({"node1"}))
    assert elected(replace(REQUEST, endpoints=last, local=True), cluster()) == ["node1"]


HERE, ELSEWHERE = on("10.20.30.0/24"), on("172.16.0.0/16")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((HERE, HERE, HERE), "node1"),
        ((ELSEWHERE, HERE, HERE), "node2"),
        ((ELSEWHERE, ELSEWHERE, HERE), "node3"),
        ((ELSEWHERE, NodeState(), ELSEWHERE), "node2"),  # its interfaces are unknown: it may be
        ((on("10.20.30.1/32"), HERE, HERE), "node1"),
        ((NodeState(interfaces=()), HERE, HERE), "node2"),
    ],
)
def test_only_nodes_on_the_subnet_are_candidates(
    states: tuple[NodeState, ...], expected: str
) -> None:
    assert elected(REQUEST, cluster(*states)) == [expected]
    assert all(check.passed for check in eligible(REQUEST, expected, cluster(*states)).checks)


def test_all_nodes_are_candidates_if_none_is_on_the_subnet() -> None:
    lost = cluster(ELSEWHERE, ELSEWHERE, ELSEWHERE)
    verdict = eligible(REQUEST, "node1", lost)
    assert verdict.positive
    (failed,) = (check for check in verdict.checks if not check.passed)
    assert (failed.name, failed.detail) == (SUBNET, 'no node is on the subnet of ["10.20.30.1"]')


def test_with_any_interface_subnets_do_not_matter() -> None:
    members = cluster(ELSEWHERE, HERE, HERE, any_interface=True)
    assert elected(REQUEST, members) == ["node1"]


def test_a_node_on_the_subnets_of_both_addresses_is_preferred() -> None:
    both = replace(REQUEST, addresses=(ADDRESS, ip_address("2001:db8::1")))
    states = (HERE, on("2001:db8::/64"), on("10.20.30.0/24", "2001:db8::/64"))
    assert elected(both, cluster(*states)) == ["node3"]
    half = eligible(both, "node1", cluster(HERE, HERE, ELSEWHERE))
    assert half.positive
    (failed,) = (check.detail for check in half.checks if not check.passed)
    assert failed == 'no node is on the subnet of all of ["10.20.30.1" "2001:db8::1"]'


def test_interfaces_that_the_pool_does_not_name_are_ignored() -> None:
    request = replace(REQUEST, pool=replace(REQUEST.pool, interfaces=("bond.*", "eth1")))
    states = (HERE, on("10.20.30.0/24", name="eth1"), on("10.20.30.0/24", name="bond7"))
    assert elected(request, cluster(*states)) == ["node2"]
    verdict = eligible(request, "node1", Cluster(frozenset({"node1"}), {"node1": HERE}))
    assert verdict.reason == "notOwner"
    assert verdict.detail == 'no node is left: node1: it has no interface of pool "l2"'


def test_node_selectors_of_the_pool_limit_the_candidates() -> None:
    request = replace(REQUEST, pool=replace(REQUEST.pool, node_selectors=(selector(rack="b"),)))
    states = (NodeState({"rack": "a"}), NodeState({"rack": "b"}), NodeState({"rack": "b"}))
    assert elected(request, cluster(*states)) == ["node2"]


def test_an_excluded_node_is_no_candidate() -> None:
    assert elected(REQUEST, cluster(NodeState(excluded=Exclusion("why", "why not")))) == ["node2"]
    alone = Cluster(
        frozenset({"node1"}), {"node1": NodeState(excluded=Exclusion("why", "why not"))}
    )
    assert eligible(REQUEST, "node1", alone).detail == "no node is left: node1: why not"


def test_a_leaving_node_is_elected_only_if_no_other_is_eligible() -> None:
    leaving = replace(on("10.20.30.0/24"), leaving=True)
    here, elsewhere = on("10.20.30.0/24"), on("192.0.2.0/24")
    assert elected(REQUEST, cluster(leaving, here, here)) == ["node2"]
    assert elected(REQUEST, cluster(leaving, leaving, leaving)) == ["node1"]
    assert elected(REQUEST, cluster(elsewhere, leaving, elsewhere)) == ["node2"]
