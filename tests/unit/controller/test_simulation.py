"""Simulation: the core's state after a start with a snapshot."""

from __future__ import annotations

from ipaddress import ip_address

from support.kube.objects import service
from support.kube.snapshots import snapshot

from controller.simulation import simulate

POOLS = "{name: a, protocol: layer2, addresses: [192.0.2.0/31]}"


def test_held_addresses_are_reclaimed_before_others_are_allocated() -> None:
    older = service("older", created="2025-01-01T00:00:00Z")
    holder = service("holder", ips=("192.0.2.0",), pool="a")
    core = simulate(snapshot(POOLS, older, holder), "")
    held = {name: core.allocator.held(f"default/{name}") for name in ("older", "holder")}
    assert {name: each and each.addresses for name, each in held.items()} == {
        "older": (ip_address("192.0.2.1"),),
        "holder": (ip_address("192.0.2.0"),),
    }


def test_services_of_another_load_balancer_class_are_ignored() -> None:
    classy = service("classy", load_balancer_class="x")
    assert simulate(snapshot(POOLS, classy), "").outcome("default/classy") is None
    assert simulate(snapshot(POOLS, classy), "x").outcome("default/classy") is not None
