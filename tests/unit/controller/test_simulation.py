"""The core as a start would leave it."""

from __future__ import annotations

from ipaddress import ip_address

from support.objects import service
from support.snapshots import snapshot

from controller.simulation import rehearse

POOLS = "{name: a, protocol: layer2, addresses: [192.0.2.0/31]}"


def test_what_is_held_is_claimed_before_anything_is_given_out() -> None:
    older = service("older", created="2025-01-01T00:00:00Z")
    holder = service("holder", ips=("192.0.2.0",), pool="a")
    core = rehearse(snapshot(POOLS, older, holder), "")
    held = {name: core.allocator.held(f"default/{name}") for name in ("older", "holder")}
    assert {name: each and each.addresses for name, each in held.items()} == {
        "older": (ip_address("192.0.2.1"),),
        "holder": (ip_address("192.0.2.0"),),
    }


def test_the_class_decides_whose_services_they_are() -> None:
    classy = service("classy", load_balancer_class="x")
    assert rehearse(snapshot(POOLS, classy), "").outcome("default/classy") is None
    assert rehearse(snapshot(POOLS, classy), "x").outcome("default/classy") is not None
