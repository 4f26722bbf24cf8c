"""Check that the communities of each merged route fit into one BGP message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from metallb_py.addresses import IPNetwork
from metallb_py.model.config import Pool
from metallb_py.model.route_attributes import (
    MAX_COMMUNITY_BYTES,
    Community,
    LargeCommunity,
    RouteAttributes,
    communities_size,
)

_BITS = {4: 32, 6: 128}
_STEP = 16  # communities whose union takes about the time of one step

Spend = Callable[[int], None]


@dataclass(slots=True)
class _Group:
    """The communities that one pool advertises with one aggregation length."""

    pool: int
    plain: set[Community] = field(default_factory=set)
    large: set[LargeCommunity] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Size of the communities in a message, in bytes."""
        return communities_size(self.plain, self.large)

    def add(self, plain: Iterable[Community], large: Iterable[LargeCommunity]) -> None:
        self.plain.update(plain)
        self.large.update(large)


@dataclass(frozen=True, slots=True)
class OversizedRoute:
    """A prefix whose route would have too many communities, and their size in bytes."""

    prefix: IPNetwork
    size: int


def find_oversized(pools: Sequence[Pool], spend: Spend) -> Mapping[int, OversizedRoute]:
    """Return, by index of the pool, the prefix with the largest excess, for pools that have one.

    The first address of each block represents it: if the block is larger than an aggregate, the
    aggregate is in one pool only. The peers of an advertisement are ignored, as if one peer
    received all of them. The number of steps grows with the number of blocks times the number of
    aggregation lengths that pools share.
    """
    if _union_size(pools, spend) <= MAX_COMMUNITY_BYTES:
        return {}
    found: dict[int, OversizedRoute] = {}
    starts: dict[tuple[int, int], list[int]] = {}
    for (version, length), groups in _by_length(pools).items():
        for group in groups:
            key = (group.pool, version)
            if key not in starts:
                starts[key] = _starts(pools[group.pool], version, spend)
        for prefix, sharing, size in _sizes(version, length, groups, starts, spend):
            if size > MAX_COMMUNITY_BYTES:
                oversized = OversizedRoute(_network(version, prefix, length), size)
                for group in sharing:
                    if group.pool not in found or found[group.pool].size < size:
                        found[group.pool] = oversized
    return found


def _sizes(
    version: int,
    length: int,
    groups: Sequence[_Group],
    starts: Mapping[tuple[int, int], Sequence[int]],
    spend: Spend,
) -> Iterator[tuple[int, Sequence[_Group], int]]:
    """Yield prefixes of a length, the groups that share each, and the size of their communities.

    Prefixes that need no check are left out: all of them if the groups together are within the
    limit, and all but one for a pool that shares this length with no other.
    """
    host_bits = _BITS[version] - length
    largest = sum(group.size for group in groups)
    if largest <= MAX_COMMUNITY_BYTES:
        return
    if len(groups) == 1:
        for first in starts[groups[0].pool, version][:1]:
            yield first >> host_bits << host_bits, groups, largest
        return
    members: dict[int, list[_Group]] = {}
    for group in groups:
        blocks = starts[group.pool, version]
        spend(len(blocks))
        for prefix in dict.fromkeys([first >> host_bits for first in blocks]):
            members.setdefault(prefix, []).append(group)
    known: dict[tuple[int, ...], int] = {}
    for prefix, sharing in members.items():
        yield prefix << host_bits, sharing, _size(sharing, known, spend)


def _starts(pool: Pool, version: int, spend: Spend) -> list[int]:
    """Return the first addresses of a pool's blocks of one family."""
    spend(len(pool.cidrs))
    return [int(cidr.network_address) for cidr in pool.cidrs if cidr.version == version]


def _union_size(pools: Iterable[Pool], spend: Spend) -> int:
    """Return the size of the communities of all pools, each counted once, in bytes."""
    union = _Group(-1)
    for attributes in (ad.attributes for pool in pools for ad in pool.bgp_advertisements):
        _spend_for(attributes, spend)
        union.add(attributes.communities, attributes.large_communities)
    return union.size


def _by_length(pools: Iterable[Pool]) -> Mapping[tuple[int, int], list[_Group]]:
    found: dict[tuple[int, int], list[_Group]] = {}
    for index, pool in enumerate(pools):
        groups: dict[tuple[int, int], _Group] = {}
        for ad in pool.bgp_advertisements:
            plain, large = ad.attributes.communities, ad.attributes.large_communities
            if not plain and not large:
                continue
            for key in ((4, ad.aggregation_length), (6, ad.aggregation_length_v6)):
                group = groups.setdefault(key, _Group(index))
                group.add(plain, large)
        for key, group in groups.items():
            found.setdefault(key, []).append(group)
    return found


def _size(groups: Sequence[_Group], known: dict[tuple[int, ...], int], spend: Spend) -> int:
    """Return the size of the groups' communities, each counted once, in bytes.

    The sum over the groups is returned instead if it is within the limit. ``known`` is a cache.
    """
    largest = sum(group.size for group in groups)
    if len(groups) == 1 or largest <= MAX_COMMUNITY_BYTES:
        return largest
    key = tuple(group.pool for group in groups)
    if key not in known:
        spend(1 + largest // (4 * _STEP))
        union = _Group(-1)
        for group in groups:
            union.add(group.plain, group.large)
        known[key] = union.size
    return known[key]


def _spend_for(attributes: RouteAttributes, spend: Spend) -> None:
    spend(1 + (len(attributes.communities) + len(attributes.large_communities)) // _STEP)


def _network(version: int, first: int, length: int) -> IPNetwork:
    return IPv4Network((first, length)) if version == 4 else IPv6Network((first, length))
