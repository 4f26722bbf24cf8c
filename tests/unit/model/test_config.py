"""Queries of the configuration model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address

import pytest
from support.kube.objects import config, pool

from metallb_py.model.config import Config, Pool, Protocol, is_buggy


@pytest.mark.parametrize(
    ("text", "buggy"),
    [("10.0.0.0", True), ("10.0.1.255", True), ("10.0.0.1", False), ("2001:db8::", False)],
)
def test_buggy_addresses(text: str, buggy: bool) -> None:
    assert is_buggy(ip_address(text)) is buggy


def test_pool_contains_addresses_that_it_may_not_allocate() -> None:
    made = pool("a", "10.0.0.0/24", avoid_buggy_ips=True)
    assert made.contains(ip_address("10.0.0.0"))
    assert not made.contains(ip_address("10.0.1.1"))


def test_pool_of_several_addresses_contains_all_of_them() -> None:
    made = config(pool("a", "10.0.0.0/24"), pool("b", "10.1.0.0/24", "2001:db8::/64"))
    four, six = ip_address("10.1.0.1"), ip_address("2001:db8::1")
    found = made.pool_of((four, six))
    assert found is not None
    assert found.name == "b"
    assert made.pool_of((ip_address("10.0.0.1"), six)) is None


def test_pool_of_an_address_is_found_without_scanning_all_pools() -> None:
    class Counted(tuple[IPv4Network, ...]):  # noqa: SLOT001
        """Prefixes that count how often they are iterated over."""

        iterated = 0

        def __iter__(self) -> Iterator[IPv4Network]:
            Counted.iterated += 1
            return super().__iter__()

    pools = tuple(
        Pool(f"p{n}", Protocol.LAYER2, Counted((IPv4Network((n << 8, 24)),))) for n in range(5000)
    )
    config = Config(pools)
    Counted.iterated = 0
    found = [config.pool_of((IPv4Address(n << 8 | 7),)) for n in range(5000)]
    assert found == list(pools)
    assert Counted.iterated == 0


def test_overlapping_pools_keep_their_order_while_one_drains() -> None:
    new = Pool("a", Protocol.LAYER2, (IPv4Network("10.0.0.0/24"),))
    old = Pool("old", Protocol.LAYER2, (IPv4Network("10.0.0.0/16"),), draining=True)
    config = Config((new, old))
    address, other = IPv4Address("10.0.0.1"), IPv4Address("10.0.1.1")
    assert config.pools_of((address,)) == (new, old)
    assert config.pool_of((address, other)) == old
    assert replace(config, pools=(old,)).pool_of((address,)) == old
    assert replace(config, pools=(old,)) != config


def test_pools_not_in_another_config_are_the_absent_and_the_changed() -> None:
    a, b = pool("a", "192.0.2.0/31"), pool("b", "192.0.2.2/31")
    other = pool("a", "192.0.2.0/30")
    assert config(a, b).pools_not_in(config(b, a)) == ()
    assert config(a, b).pools_not_in(config(other)) == (a, b)
