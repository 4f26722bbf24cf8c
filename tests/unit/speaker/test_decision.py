"""Decision whether this node announces a service: MetalLB's checks, in MetalLB's order."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.kube.objects import config, pool, service

from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.model.config import Protocol
from speaker.decision import DecisionContext, decide
from speaker.layer2.eligibility import Cluster

CONFIG = config(
    pool("l2", "10.20.30.0/24"), pool("routed", "198.51.100.0/24", protocol=Protocol.BGP)
)
CLUSTER = Cluster(frozenset({"node1", "node2", "node3"}))
CONTEXT = DecisionContext("node1", CLUSTER, CONFIG)
SOME = ServiceEndpoints(1, frozenset({"node2"}))


@pytest.mark.parametrize(
    ("item", "endpoints", "reason"),
    [
        (None, SOME, "serviceDeleted"),
        (service(ips=("10.20.30.1",)), None, "serviceDeleted"),
        (service(kind="NodePort"), SOME, "notLoadBalancer"),
        (service(), SOME, "noIPAllocated"),
        (service(ips=("",)), SOME, "invalidIP"),
        (service(ips=("203.0.113.1",)), SOME, "ipNotAllowed"),
        (service(ips=("10.20.30.1", "198.51.100.1")), SOME, "ipNotAllowed"),
        (service(ips=("10.20.30.1",)), ServiceEndpoints(), "notOwner"),
        (service(ips=("198.51.100.1",)), ServiceEndpoints(), "noEndpoints"),
        (
            service(ips=("198.51.100.1",), external_traffic_policy="Local"),
            SOME,
            "noLocalEndpoints",
        ),
        (service(ips=("10.20.30.1",), external_traffic_policy="Local"), SOME, "notOwner"),
    ],
)
def test_reasons_are_metallbs_tokens(
    item: object, endpoints: ServiceEndpoints | None, reason: str
) -> None:
    decision = decide(item, endpoints, CONTEXT)  # type: ignore[arg-type]
    assert decision.verdict.reason == reason
    assert decision.announcement is None


@pytest.mark.parametrize("address", ["10.20.30.1", "198.51.100.1"])
def test_a_service_that_this_node_owns_is_announced(address: str) -> None:
    decision = decide(service(ips=(address,)), SOME, CONTEXT)
    assert decision.verdict.positive
    assert decision.announcement is not None
    assert decision.announcement.addresses == (ip_address(address),)


@pytest.mark.parametrize(
    ("address", "policy", "count"),
    [
        ("198.51.100.1", "Local", 2),
        ("198.51.100.1", "Cluster", None),
        ("10.20.30.1", "Local", None),
    ],
)
def test_local_endpoints_are_counted_for_bgp_with_local_policy(
    address: str, policy: str, count: int | None
) -> None:
    item = service(ips=(address,), external_traffic_policy=policy)
    endpoints = ServiceEndpoints(3, frozenset({"node1"}), serving={"node1": 2})
    announcement = decide(item, endpoints, CONTEXT).announcement
    assert announcement is not None
    assert announcement.local_endpoints == count


def test_the_verdict_names_the_owner_and_the_order() -> None:
    # The fact sheet's vector: node1 comes first for 10.20.30.1.
    context = DecisionContext("node3", CLUSTER, CONFIG)
    decision = decide(service(ips=("10.20.30.1",)), SOME, context)
    assert decision.verdict.detail == "node1 is first of node1, node2, node3"
    assert [check.name for check in decision.verdict.checks][-1] == "election"


def test_local_services_are_elected_among_nodes_with_endpoints() -> None:
    local = service(ips=("10.20.30.1",), external_traffic_policy="Local")
    context = DecisionContext("node2", CLUSTER, CONFIG)
    assert decide(local, SOME, context).verdict.positive


def test_without_a_usable_speaker_there_is_no_owner() -> None:
    context = DecisionContext("node1", Cluster(), CONFIG)
    verdict = decide(service(ips=("10.20.30.1",)), SOME, context).verdict
    assert verdict.reason == "notOwner"
    assert "no node has a usable speaker" in verdict.detail
