"""Pools that contain addresses of nodes."""

from __future__ import annotations

from ipaddress import ip_address

from support.kube.objects import config, pool

from metallb_py.model.node_addresses import node_address_warnings, node_addresses_in

POOLS = config(pool("a", "192.0.2.0/24"), pool("b", "2001:db8::/64"), pool("c", "198.51.100.0/24"))


def test_each_node_address_is_reported_with_its_pool_and_node() -> None:
    nodes = {
        "node2": [ip_address("192.0.2.7"), ip_address("203.0.113.1")],
        "node1": [ip_address("2001:db8::1"), ip_address("192.0.2.8")],
    }
    found = [(each.pool, str(each.address), each.node) for each in node_addresses_in(POOLS, nodes)]
    assert found == [
        ("a", "192.0.2.8", "node1"),
        ("b", "2001:db8::1", "node1"),
        ("a", "192.0.2.7", "node2"),
    ]
    first, *_ = node_address_warnings(POOLS, nodes)
    assert first == (
        'pool "a" contains 192.0.2.8, an address of node node1: no speaker announces it'
    )


def test_no_warning_without_node_addresses_in_pools() -> None:
    assert node_address_warnings(POOLS, {"node1": [ip_address("203.0.113.1")]}) == ()
    assert node_address_warnings(POOLS, {}) == ()


def test_first_ten_node_addresses_are_named_and_the_rest_counted() -> None:
    nodes = {f"node{n:03}": [ip_address(f"192.0.2.{n}")] for n in range(200)}
    warnings = node_address_warnings(POOLS, nodes)
    assert len(warnings) == 11
    assert "node009" in warnings[9]
    assert warnings[10] == "and 190 more addresses of nodes in pools"
