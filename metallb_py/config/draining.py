"""Pools that left the configuration while services still held their addresses.

Such a pool drains: its services keep their addresses and are announced as before, and nothing new
is taken from it. Its definition travels as text, so that every daemon and every restart knows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import msgspec

from metallb_py.addresses import parse_cidr
from metallb_py.config.model import BgpAdvertisement, Community, Pool, Protocol
from metallb_py.config.problems import ConfigError, Problem
from metallb_py.config.selectors import LabelSelector, Operator, Requirement
from metallb_py.config.tenancy import EVERYBODY

_SUFFIX = re.compile(r" \(draining( \d+)?\)$")


class _Requirement(msgspec.Struct, frozen=True):
    key: str
    operator: Operator
    values: list[str]


class _Advertisement(msgspec.Struct, frozen=True, omit_defaults=True):
    aggregation_length: int
    aggregation_length_v6: int
    local_pref: int
    communities: list[int]
    large_communities: list[tuple[int, int, int]] = []
    med: int | None = None
    as_path_prepend: int = 0
    weight_by_endpoints: bool = False
    peers: list[str] = []
    node_selectors: list[list[_Requirement]] = []


class _Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    protocol: Protocol
    cidrs: list[str]
    advertisements: list[_Advertisement]
    interfaces: list[str] = []
    node_selectors: list[list[_Requirement]] = []


def draining(pool: Pool, others: Iterable[Pool] = ()) -> Pool:
    """Return the pool as it drains. Its name differs, for a new pool may have the old one.

    ``others`` drain already; one of them may have had the same name.
    """
    if pool.draining:
        return pool
    taken = {other.name for other in others}
    names = (f"{pool.name} (draining{f' {number}' if number > 1 else ''})" for number in count(1))
    # An address that is held stays, buggy or not: that rule is about giving out.
    return replace(
        pool,
        name=next(name for name in names if name not in taken),
        auto_assign=False,
        avoid_buggy_ips=False,
        draining=True,
        tenancy=EVERYBODY,
        priority=None,
    )


def drain(pools: Iterable[Pool], already: tuple[Pool, ...] = ()) -> tuple[Pool, ...]:
    """Return what drains when these pools join those that drain already."""
    for pool in pools:
        already += (draining(pool, already),)
    return already


def configured_name(name: str) -> str:
    """Return the name that a pool has, or had, in the configuration."""
    return _SUFFIX.sub("", name)


def encode_pools(pools: Iterable[Pool]) -> str:
    """Return draining pools as text; an empty one where there are none."""
    records = [
        _Pool(
            name=configured_name(pool.name),
            protocol=pool.protocol,
            cidrs=[str(cidr) for cidr in pool.cidrs],
            advertisements=[_record(ad) for ad in pool.bgp_advertisements],
            interfaces=list(pool.interfaces),
            node_selectors=[_requirements(selector) for selector in pool.node_selectors],
        )
        for pool in pools
    ]
    return json.dumps(msgspec.to_builtins(records)) if records else ""


def decode_pools(text: str) -> tuple[Pool, ...]:
    """Read draining pools. Raises ConfigError where the text was not written by us."""
    if not text:
        return ()
    try:
        records = msgspec.json.decode(text, type=list[_Pool])
        pools = [_pool(record) for record in records]
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError((Problem(1, "draining-pools", str(error)),)) from error
    return drain(pools)


def _pool(record: _Pool) -> Pool:
    return Pool(
        name=record.name,
        protocol=record.protocol,
        cidrs=tuple(parse_cidr(cidr) for cidr in record.cidrs),
        bgp_advertisements=tuple(map(_advertisement, record.advertisements)),
        interfaces=tuple(record.interfaces),
        node_selectors=_selectors(record.node_selectors),
    )


def _record(advertisement: BgpAdvertisement) -> _Advertisement:
    return _Advertisement(
        advertisement.aggregation_length,
        advertisement.aggregation_length_v6,
        advertisement.local_pref,
        sorted(advertisement.communities),
        sorted(advertisement.large_communities),
        advertisement.med,
        advertisement.as_path_prepend,
        advertisement.weight_by_endpoints,
        sorted(advertisement.peers),
        [_requirements(selector) for selector in advertisement.node_selectors],
    )


def _advertisement(record: _Advertisement) -> BgpAdvertisement:
    return BgpAdvertisement(
        record.aggregation_length,
        record.aggregation_length_v6,
        record.local_pref,
        frozenset(map(Community, record.communities)),
        frozenset(record.large_communities),
        record.med,
        record.as_path_prepend,
        record.weight_by_endpoints,
        frozenset(record.peers),
        _selectors(record.node_selectors),
    )


def _selectors(records: Iterable[list[_Requirement]]) -> tuple[LabelSelector, ...]:
    return tuple(
        LabelSelector(
            frozenset(Requirement(r.key, r.operator, frozenset(r.values)) for r in selector)
        )
        for selector in records
    )


def _requirements(selector: LabelSelector) -> list[_Requirement]:
    found = [_Requirement(r.key, r.operator, sorted(r.values)) for r in selector.requirements]
    return sorted(found, key=lambda r: (r.key, r.operator, r.values))
