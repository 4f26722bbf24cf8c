"""Which node answers on layer 2."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.objects import pool, selector

from metallb_py.kube.endpoints import ServiceEndpoints
from speaker.layer2.eligibility import SUBNET, Claim, Cluster, Exclusion, NodeState, eligible
from speaker.layer2.topology import Wire

ADDRESS = ip_address("10.20.30.1")  # node1, node2, node3 in this order
NODES = ("node1", "node2", "node3")
EVERYWHERE = ServiceEndpoints(3, frozenset(NODES))
CLAIM = Claim((ADDRESS,), pool("l2", "10.20.30.0/24"), EVERYWHERE)


def on(*subnets: str, name: str = "eth0") -> NodeState:
    """A node with an interface on these subnets."""
    return NodeState(wires=(Wire(name, "02:00:00:00:00:01", tuple(map(ip_network, subnets))),))


def cluster(*states: NodeState, any_interface: bool = False) -> Cluster:
    """The three nodes, with what is known of the first ones."""
    return Cluster(frozenset(NODES), dict(zip(NODES, states, strict=False)), any_interface)


def winners(claim: Claim, around: Cluster) -> list[str]:
    return [node for node in NODES if eligible(claim, node, around).positive]


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
def test_one_node_wins_at_the_most(
    endpoints: ServiceEndpoints, speakers: tuple[str, ...], local: bool, expected: list[str]
) -> None:
    claim = replace(CLAIM, endpoints=endpoints, local=local)
    assert winners(claim, Cluster(frozenset(speakers))) == expected


def test_local_services_leave_a_node_whose_endpoints_are_about_to_end() -> None:
    leaving = ServiceEndpoints(2, frozenset({"node1", "node2"}), frozenset({"node1"}))
    assert winners(replace(CLAIM, endpoints=leaving, local=True), cluster()) == ["node2"]
    last = ServiceEndpoints(1, frozenset({"node1"}), frozenset({"node1"}))
    assert winners(replace(CLAIM, endpoints=last, local=True), cluster()) == ["node1"]


HERE, ELSEWHERE = on("10.20.30.0/24"), on("172.16.0.0/16")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((HERE, HERE, HERE), "node1"),
        ((ELSEWHERE, HERE, HERE), "node2"),
        ((ELSEWHERE, ELSEWHERE, HERE), "node3"),
        ((ELSEWHERE, NodeState(), ELSEWHERE), "node2"),  # it does not say: it may be
        ((on("10.20.30.1/32"), HERE, HERE), "node1"),
        ((NodeState(wires=()), HERE, HERE), "node2"),
    ],
)
def test_only_nodes_on_the_subnet_are_candidates(
    states: tuple[NodeState, ...], expected: str
) -> None:
    assert winners(CLAIM, cluster(*states)) == [expected]
    assert all(check.passed for check in eligible(CLAIM, expected, cluster(*states)).checks)


def test_where_no_node_is_on_the_subnet_all_are_and_that_is_told() -> None:
    lost = cluster(ELSEWHERE, ELSEWHERE, ELSEWHERE)
    verdict = eligible(CLAIM, "node1", lost)
    assert verdict.positive
    (doubt,) = (check for check in verdict.checks if not check.passed)
    assert (doubt.name, doubt.detail) == (SUBNET, 'no node is on the subnet of ["10.20.30.1"]')


def test_with_any_interface_subnets_do_not_matter() -> None:
    around = cluster(ELSEWHERE, HERE, HERE, any_interface=True)
    assert winners(CLAIM, around) == ["node1"]


def test_of_two_addresses_a_node_should_be_on_both_subnets() -> None:
    both = replace(CLAIM, addresses=(ADDRESS, ip_address("2001:db8::1")))
    states = (HERE, on("2001:db8::/64"), on("10.20.30.0/24", "2001:db8::/64"))
    assert winners(both, cluster(*states)) == ["node3"]
    half = eligible(both, "node1", cluster(HERE, HERE, ELSEWHERE))
    assert half.positive
    (doubt,) = (check.detail for check in half.checks if not check.passed)
    assert doubt == 'no node is on the subnet of all of ["10.20.30.1" "2001:db8::1"]'


def test_an_interface_that_the_pool_does_not_name_does_not_count() -> None:
    claim = replace(CLAIM, pool=replace(CLAIM.pool, interfaces=("bond.*", "eth1")))
    states = (HERE, on("10.20.30.0/24", name="eth1"), on("10.20.30.0/24", name="bond7"))
    assert winners(claim, cluster(*states)) == ["node2"]
    verdict = eligible(claim, "node1", Cluster(frozenset({"node1"}), {"node1": HERE}))
    assert verdict.reason == "notOwner"
    assert verdict.detail == 'no node is left: node1: it has no interface of pool "l2"'


def test_a_pool_for_some_nodes() -> None:
    claim = replace(CLAIM, pool=replace(CLAIM.pool, node_selectors=(selector(rack="b"),)))
    states = (NodeState({"rack": "a"}), NodeState({"rack": "b"}), NodeState({"rack": "b"}))
    assert winners(claim, cluster(*states)) == ["node2"]


def test_an_excluded_node_is_no_candidate() -> None:
    assert winners(CLAIM, cluster(NodeState(excluded=Exclusion("why", "why not")))) == ["node2"]
    alone = Cluster(
        frozenset({"node1"}), {"node1": NodeState(excluded=Exclusion("why", "why not"))}
    )
    assert eligible(CLAIM, "node1", alone).detail == "no node is left: node1: why not"


def test_a_node_that_is_to_be_drained_is_chosen_only_where_no_other_can() -> None:
    leaving = replace(on("10.20.30.0/24"), leaving=True)
    here, elsewhere = on("10.20.30.0/24"), on("192.0.2.0/24")
    assert winners(CLAIM, cluster(leaving, here, here)) == ["node2"]
    assert winners(CLAIM, cluster(leaving, leaving, leaving)) == ["node1"]
    assert winners(CLAIM, cluster(elsewhere, leaving, elsewhere)) == ["node2"]
