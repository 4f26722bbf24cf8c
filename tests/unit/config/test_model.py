"""What the model knows of itself."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.objects import config, pool

from metallb_py.config.model import Peer, is_buggy
from metallb_py.config.selectors import LabelSelector, Operator, Requirement


@pytest.mark.parametrize(
    ("text", "buggy"),
    [("10.0.0.0", True), ("10.0.1.255", True), ("10.0.0.1", False), ("2001:db8::", False)],
)
def test_buggy_addresses(text: str, buggy: bool) -> None:
    assert is_buggy(ip_address(text)) is buggy


def test_a_pool_contains_what_it_may_not_allocate() -> None:
    made = pool("a", "10.0.0.0/24", avoid_buggy_ips=True)
    assert made.contains(ip_address("10.0.0.0"))
    assert not made.allocatable(ip_address("10.0.0.0"))
    assert made.allocatable(ip_address("10.0.0.1"))
    assert not made.allocatable(ip_address("10.0.1.1"))


def test_the_pool_of_addresses_contains_all_of_them() -> None:
    made = config(pool("a", "10.0.0.0/24"), pool("b", "10.1.0.0/24", "2001:db8::/64"))
    four, six = ip_address("10.1.0.1"), ip_address("2001:db8::1")
    found = made.pool_of((four, six))
    assert found is not None
    assert found.name == "b"
    assert made.pool_of((ip_address("10.0.0.1"), six)) is None


def test_a_peer_selects_nodes_by_any_of_its_selectors() -> None:
    rack = LabelSelector(frozenset({Requirement("rack", Operator.EXISTS)}))
    zone = LabelSelector(frozenset({Requirement("zone", Operator.EXISTS)}))
    peer = Peer(1, 2, ip_address("10.0.0.1"), node_selectors=(rack, zone))
    assert peer.selects({"zone": "a"})
    assert not peer.selects({})
    assert Peer(1, 2, ip_address("10.0.0.1")).selects({})
