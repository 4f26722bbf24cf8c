"""Pools that may allocate given addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address

import pytest
from support.kube.objects import pool, service

from controller.core import Controller
from controller.effects import ConfigApplied, ConfigRefused, Started
from controller.orphaned_addresses import OrphanPolicy
from controller.pool_table import PoolTable
from metallb_py.addresses import IPAddress
from metallb_py.model.config import Config, Pool, Protocol

CAREFUL = pool("careful", "192.0.2.0/24", "2001:db8::/64", avoid_buggy_ips=True)
OLD = pool("old", "192.0.0.0/16")
TABLE = PoolTable((CAREFUL, OLD))


@pytest.mark.parametrize(
    ("addresses", "owner"),
    [
        (("192.0.2.1",), "careful"),
        (("192.0.2.0",), "old"),
        (("192.0.2.0", "2001:db8::"), None),
        (("192.0.2.1", "2001:db8::"), "careful"),
        (("192.0.3.1", "2001:db8::"), None),
        (("203.0.113.1",), None),
        ((), "careful"),
    ],
)
def test_the_first_pool_that_may_allocate_all_addresses_owns_them(
    addresses: tuple[str, ...], owner: str | None
) -> None:
    found = TABLE.owner(map(ip_address, addresses))
    assert (found.name if found else None) == owner


def test_a_pool_contains_also_addresses_that_it_does_not_allocate() -> None:
    assert TABLE.container(ip_address("192.0.2.0")) is CAREFUL
    assert TABLE.container(ip_address("203.0.113.1")) is None


def test_the_block_of_an_address() -> None:
    def block(address: IPAddress) -> str | None:
        number = TABLE.block_of(address)
        return None if number is None else str(TABLE.blocks[number])

    assert block(ip_address("192.0.2.1")) == "192.0.2.0/24"
    assert block(ip_address("192.0.2.0")) == "192.0.0.0/16"
    assert block(ip_address("2001:db8::")) == "2001:db8::/64"
    assert block(ip_address("203.0.113.1")) is None


class Counted(tuple[IPv4Network, ...]):  # noqa: SLOT001
    """Prefixes that count how often they are iterated."""

    iterations = 0

    def __iter__(self) -> Iterator[IPv4Network]:
        Counted.iterations += 1
        return super().__iter__()


def iterations(services: int, policy: OrphanPolicy) -> int:
    """Return how often pools are iterated in a start and two changes, by number of services."""
    pools = tuple(
        Pool(f"p{n}", Protocol.LAYER2, Counted((IPv4Network((n << 8, 24)),)))
        for n in range(1 << 16, (1 << 16) + 100)
    )
    core = Controller(policy=policy)
    for n in range(services):
        address = str(IPv4Address((1 << 16) + 99 - n << 8 | 7))
        core.service_changed(f"default/s{n}", service(f"s{n}", ips=(address,)))
    Counted.iterations = 0
    core.config_changed(Config(pools))
    assert Started() in core.services_synced()
    assert len(list(core.allocator.holdings())) == services
    core.config_changed(Config(pools[:-1]))
    core.config_changed(Config((*pools[:-1], replace(pools[-1], auto_assign=False))))
    return Counted.iterations


@pytest.mark.parametrize("policy", OrphanPolicy)
def test_pools_are_iterated_as_often_for_many_services_as_for_one(
    policy: OrphanPolicy,
) -> None:
    assert iterations(90, policy) == iterations(1, policy)


def test_a_refused_configuration_is_not_compared_at_every_service_change() -> None:
    core = Controller(policy=OrphanPolicy.REFUSE)
    for n in range(1, 51):
        core.service_changed(f"default/s{n}", service(f"s{n}", ips=(f"10.0.{n}.1",)))
    pools = tuple(
        Pool(f"p{n}", Protocol.LAYER2, Counted((IPv4Network(f"10.0.{n}.0/24"),)))
        for n in range(1, 51)
    )
    core.config_changed(Config(pools))
    core.services_synced()
    refused = core.config_changed(Config(pools[1:]))
    assert isinstance(refused[0], ConfigRefused)
    core.service_changed("default/s50", None)
    Counted.iterations = 0
    for n in range(2, 50):
        core.service_changed(f"default/s{n}", None)
    assert Counted.iterations == 0
    effects = core.service_changed("default/s1", None)
    assert any(isinstance(effect, ConfigApplied) for effect in effects)
