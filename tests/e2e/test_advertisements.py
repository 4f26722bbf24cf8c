"""Changed advertisements under established BGP sessions, and weights by endpoint count."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

from metallb_py.lab.network import NODES

pytestmark = pytest.mark.e2e
NAME = "weighed"
WEIGHING = CONFIG + "  bgp-advertisements: [{aggregation-length: 28, weight-by-endpoints: true}]\n"


def test_weights_follow_endpoints_and_no_session_ends(rig: Rig) -> None:
    rig.add_service(NAME, "routed", externalTrafficPolicy="Local", selector={})
    place(rig, 2, 1)
    address = poll_until(lambda: rig.address(NAME))
    host, aggregate = (str(ip_network(f"{address}/{n}", strict=False)) for n in (32, 28))
    poll_until(lambda: weights(rig, host) == [1, 1], what="two nodes, equal ones")
    sessions = rig.sessions_established()
    rig.apply_config(WEIGHING)
    try:
        for prefix in (aggregate, host):
            poll_until(lambda p=prefix: ratio(rig, p) == 2.0, what=f"2:1 for {prefix}")
        announced = lines(rig)
        place(rig, 1, 1)
        for prefix in (aggregate, host):
            poll_until(lambda p=prefix: ratio(rig, p) == 1.0, what=f"1:1 for {prefix}")
        assert lines(rig) == announced, "a changed endpoint count is not logged"
    finally:
        rig.apply_config()
        rig.kubectl("delete", "service", NAME)
        rig.kubectl("delete", "endpointslice", NAME)
    poll_until(lambda: not weights(rig, aggregate), what="no aggregate")
    assert rig.sessions_established() == sessions


def place(rig: Rig, *counts: int) -> None:
    """Create the given numbers of ready endpoints on the first nodes."""
    endpoints = [
        {"addresses": [f"10.244.{node}.{last}"], "nodeName": f"node{node}"}
        for node, count in enumerate(counts, 1)
        for last in range(2, 2 + count)
    ]
    labels = {"kubernetes.io/service-name": NAME}
    rig.apply(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": "default", "name": NAME, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{**each, "conditions": {"ready": True}} for each in endpoints],
            "ports": [{"port": 80}],
        }
    )


def weights(rig: Rig, prefix: str) -> list[int]:
    """Return the weights that FRR's routing table has for the first two nodes."""
    routes: list[dict[str, Any]] = rig.frr(f"show ip route {prefix}").get(prefix, [])
    found = {hop["ip"]: hop.get("weight", 1) for route in routes for hop in route["nexthops"]}
    return [found[node.address] for node in NODES if node.address in found]


def ratio(rig: Rig, prefix: str) -> float:
    """Return the first node's weight over the second's; zebra stores percentages."""
    one, other = (*weights(rig, prefix), 0, 0)[:2]
    return round(one / other, 1) if other else 0.0


def lines(rig: Rig) -> int:
    """Return the number of log lines in which a speaker announces the service."""
    return sum(
        line.get("event") == "serviceAnnounced" and line.get("service") == f"default/{NAME}"
        for node in NODES
        for line in rig.log(f"speaker-{node.name}")
    )
