"""Pools that left the configuration while services still held their addresses.

Such a pool drains: its services keep their addresses and are announced as before, and nothing new
is taken from it. Its definition travels as text, so that every daemon and every restart knows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import Annotated

import msgspec

from metallb_py.addresses import parse_cidr
from metallb_py.config.compile.limits import MAX_DRAINING_BLOCKS, MAX_PREPEND
from metallb_py.config.problems import ConfigError, Problem, one_line
from metallb_py.model.config import BgpAdvertisement, Community, Pool, Protocol
from metallb_py.model.pool_access import EVERYBODY
from metallb_py.model.selectors import LabelSelector, Operator, Requirement

# The name of a pool that drains ends so. One that is in the configuration and is called so gets
# the ending of _CONFIGURED, so that no name that a configuration can have is that of another pool.
_DRAINING = re.compile(r" \(draining(?: \d+)?\)\Z")
_CONFIGURED = " (configured)"
_EITHER = re.compile(r" \(draining(?: \d+)?\)(?: \(configured\))*\Z")


MAX_TEXT = 16 << 20  # of characters: far more than the largest configuration has

_Uint32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class _Requirement(msgspec.Struct, frozen=True):
    key: str
    operator: Operator
    values: list[str]


class _Advertisement(msgspec.Struct, frozen=True, omit_defaults=True):
    aggregation_length: Annotated[int, msgspec.Meta(ge=0, le=32)]
    aggregation_length_v6: Annotated[int, msgspec.Meta(ge=0, le=128)]
    local_pref: _Uint32
    communities: list[_Uint32]
    large_communities: list[tuple[_Uint32, _Uint32, _Uint32]] = []
    med: _Uint32 | None = None
    as_path_prepend: Annotated[int, msgspec.Meta(ge=0, le=MAX_PREPEND)] = 0
    weight_by_endpoints: bool = False
    peers: list[str] = []
    node_selectors: list[list[_Requirement]] = []


class _Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    protocol: Protocol
    cidrs: Annotated[list[str], msgspec.Meta(min_length=1)]
    advertisements: list[_Advertisement]
    interfaces: list[str] = []
    node_selectors: list[list[_Requirement]] = []


def draining(pool: Pool, others: Iterable[Pool] = ()) -> Pool:
    """Return the pool as it drains. Its name differs, for a new pool may have the old one.

    ``others`` drain already; one of them may have had the same name.
    """
    return _Names(others).draining(pool)


class _Names:
    """The names of pools that drain, so that each gets one of its own."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self._taken = {pool.name for pool in pools}
        self._numbers: dict[str, Iterator[int]] = {}

    def draining(self, pool: Pool) -> Pool:
        if pool.draining:
            return pool
        configured = configured_name(pool.name)
        numbers = self._numbers.setdefault(configured, count(1))
        names = (f"{configured} (draining{f' {n}' if n > 1 else ''})" for n in numbers)
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        return _as_it_drains(pool, name)


def _as_it_drains(pool: Pool, name: str) -> Pool:
    # An address that is held stays, buggy or not: that rule is about giving out.
    return replace(
        pool,
        name=name,
        auto_assign=False,
        avoid_buggy_ips=False,
        draining=True,
        tenancy=EVERYBODY,
        priority=None,
    )


def drain(pools: Iterable[Pool], already: tuple[Pool, ...] = ()) -> tuple[Pool, ...]:
    """Return what drains when these pools join those that drain already."""
    names = _Names(already)
    return (*already, *map(names.draining, pools))


def pool_name(configured: str) -> str:
    """Return the name of the pool that is called so in the configuration: nearly always the same.

    It differs from that of every pool that drains, and from those of other names.
    """
    return configured + _CONFIGURED if _EITHER.search(configured) else configured


def configured_name(name: str) -> str:
    """Return the name that a pool has, or had, in the configuration."""
    if name.endswith(_CONFIGURED) and _EITHER.search(name):
        return name.removesuffix(_CONFIGURED)
    return _DRAINING.sub("", name)


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
    """Read draining pools. Raises ConfigError, and nothing else, where ``encode_pools`` did not
    write the text.
    """
    if not text:
        return ()
    if len(text) > MAX_TEXT:
        raise _error(f"{len(text)} characters: want at most {MAX_TEXT}")
    try:
        records = msgspec.json.decode(text, type=list[_Pool])
        blocks = sum(len(record.cidrs) for record in records)
        if blocks > MAX_DRAINING_BLOCKS:
            raise _error(f"{blocks} blocks of addresses: want at most {MAX_DRAINING_BLOCKS}")
        pools = [_pool(record) for record in records]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _error(f"{error}: want what the controller writes") from error
    return drain(pools)


def _error(message: str) -> ConfigError:
    return ConfigError((Problem(1, "draining-pools", one_line(message)),))


def _pool(record: _Pool) -> Pool:
    return Pool(
        name=pool_name(record.name),
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
