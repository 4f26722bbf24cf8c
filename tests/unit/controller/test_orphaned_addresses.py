"""Draining pools: when a pool drains, and for how long."""

from __future__ import annotations

from ipaddress import ip_address

from support.kube.objects import pool

from controller.allocator import Holding
from controller.orphaned_addresses import describe_misfit, pools_to_drain, still_needed
from controller.requests import SharingTerms
from metallb_py.config.draining import draining

A, B = pool("a", "192.0.2.0/30"), pool("b", "198.51.100.0/30")
HELD = Holding((ip_address("192.0.2.1"),), "a", SharingTerms())


def test_only_pools_with_orphans_drain() -> None:
    assert pools_to_drain((A, B), [HELD]) == (draining(A),)
    assert pools_to_drain((A, B), []) == ()


def test_a_pool_is_needed_while_something_is_held_in_it() -> None:
    inside = Holding(HELD.addresses, draining(A).name, SharingTerms())
    assert still_needed((draining(A), draining(B)), [inside]) == (draining(A),)
    assert still_needed((draining(A),), [HELD]) == ()


def test_an_orphan_is_described_with_metallbs_text() -> None:
    assert describe_misfit("default/web", HELD) == (
        'new config not compatible with assigned IPs: service "default/web" cannot own '
        '["192.0.2.1"] under new config'
    )
