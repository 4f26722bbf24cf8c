"""Draining pools: pools that left the configuration while services still held their addresses.

The services of a draining pool keep their addresses and are announced as before; no other address
is assigned from it. Its definition is stored as text, so that it is available to every daemon and
after every restart.
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
from metallb_py.model.config import BgpAdvertisement, Pool, Protocol
from metallb_py.model.pool_access import UNRESTRICTED
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.model.selectors import LabelSelector, Operator, Requirement

# The suffix of a draining pool's name. A configured pool whose own name has this suffix gets the
# suffix _CONFIGURED as well, so that its name can't equal that of a draining pool.
_DRAINING = re.compile(r" \(draining(?: \d+)?\)\Z")
_CONFIGURED = " (configured)"
_EITHER = re.compile(r" \(draining(?: \d+)?\)(?: \(configured\))*\Z")

MAX_TEXT = 16 << 20
"""Characters of a stored text: far more than the largest configuration has."""

_Uint32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class _Requirement(msgspec.Struct, frozen=True):
    """Stored form of a Requirement."""

    key: str
    operator: Operator
    values: list[str]


class _Advertisement(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stored form of a BgpAdvertisement and its RouteAttributes, which document the fields.

    Each selector is a list.
    """

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
    """Stored form of a draining Pool, which documents the fields; with its configured name."""

    name: str
    protocol: Protocol
    cidrs: Annotated[list[str], msgspec.Meta(min_length=1)]
    advertisements: list[_Advertisement]
    interfaces: list[str] = []
    node_selectors: list[list[_Requirement]] = []


def draining(pool: Pool, others: Iterable[Pool] = ()) -> Pool:
    """Return the draining form of a pool, with another name: a new pool may use the old one.

    ``others`` are draining already; one of them may have had the same name.
    """
    return _Names(others).draining(pool)


class _Names:
    """The names of draining pools, to give each a unique one."""

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
        return _draining_form(pool, name)


def _draining_form(pool: Pool, name: str) -> Pool:
    # avoid_buggy_ips restricts assignment only; an address that a service has is kept.
    return replace(
        pool,
        name=name,
        auto_assign=False,
        avoid_buggy_ips=False,
        draining=True,
        tenancy=UNRESTRICTED,
        priority=None,
    )


def drain(pools: Iterable[Pool], already: tuple[Pool, ...] = ()) -> tuple[Pool, ...]:
    """Return all draining pools, after these pools are added to those that drain already."""
    names = _Names(already)
    return (*already, *map(names.draining, pools))


def pool_name(configured: str) -> str:
    """Return the pool name for a name in the configuration: the same, with rare exceptions.

    The result differs from the name of every draining pool, and for each configured name.
    """
    return configured + _CONFIGURED if _EITHER.search(configured) else configured


def configured_name(name: str) -> str:
    """Return the name that a pool has, or had, in the configuration."""
    if name.endswith(_CONFIGURED) and _EITHER.search(name):
        return name.removesuffix(_CONFIGURED)
    return _DRAINING.sub("", name)


def encode_pools(pools: Iterable[Pool]) -> str:
    """Return draining pools as text; the empty text for no pools."""
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
    """Decode draining pools.

    Raises ConfigError, and nothing else, if ``encode_pools`` can't have written the text.
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
    attributes = advertisement.attributes
    return _Advertisement(
        aggregation_length=advertisement.aggregation_length,
        aggregation_length_v6=advertisement.aggregation_length_v6,
        local_pref=attributes.local_pref,
        communities=sorted(attributes.communities),
        large_communities=sorted(attributes.large_communities),
        med=attributes.med,
        as_path_prepend=attributes.as_path_prepend,
        weight_by_endpoints=advertisement.weight_by_endpoints,
        peers=sorted(advertisement.peers),
        node_selectors=[_requirements(selector) for selector in advertisement.node_selectors],
    )


def _advertisement(record: _Advertisement) -> BgpAdvertisement:
    return BgpAdvertisement(
        aggregation_length=record.aggregation_length,
        aggregation_length_v6=record.aggregation_length_v6,
        attributes=RouteAttributes(
            local_pref=record.local_pref,
            communities=frozenset(map(Community, record.communities)),
            large_communities=frozenset(record.large_communities),
            med=record.med,
            as_path_prepend=record.as_path_prepend,
        ),
        weight_by_endpoints=record.weight_by_endpoints,
        peers=frozenset(record.peers),
        node_selectors=_selectors(record.node_selectors),
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
