"""Index of sets of prefixes by the addresses that they contain."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from metallb_py.model.prefix_index import PrefixIndex

SETS = [
    ["10.0.0.0/24", "10.0.0.0/24", "fd00::/64"],
    ["10.0.0.0/8"],
    ["fd00::1/128", "192.0.2.7/32", "192.0.2.8/32"],
    [],
    ["0.0.0.0/0", "::/0"],
]
INDEX = PrefixIndex([ip_network(text) for text in texts] for texts in SETS)


def containing_all(*addresses: str) -> list[int]:
    return INDEX.containing_all(map(ip_address, addresses))


def test_containing_returns_every_set_that_contains_the_address() -> None:
    assert INDEX.containing(ip_address("10.0.0.255")) == {0, 1, 4}
    assert INDEX.containing(ip_address("10.0.1.0")) == {1, 4}
    assert INDEX.containing(ip_address("255.255.255.255")) == {4}
    assert INDEX.containing(ip_address("::")) == {4}


def test_containing_all_returns_the_sets_with_every_address() -> None:
    assert containing_all("10.0.0.1", "fd00::1") == [0, 4]
    assert containing_all("fd00::1", "192.0.2.7") == [2, 4]
    assert containing_all("10.0.0.1", "10.0.0.1") == [0, 1, 4]
    assert containing_all() == [0, 1, 2, 3, 4]


def test_empty_index_contains_no_address() -> None:
    index = PrefixIndex([])
    assert index.containing(ip_address("10.0.0.1")) == frozenset()
    assert index.containing_all([ip_address("10.0.0.1")]) == []
    assert index.containing_all([]) == []
