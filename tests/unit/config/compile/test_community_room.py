"""Prefixes with too many communities; for the limit itself, see test_pools."""

from __future__ import annotations

from ipaddress import ip_network

from metallb_py.config.compile.community_room import find_oversized
from metallb_py.model.config import BgpAdvertisement, Pool, Protocol
from metallb_py.model.route_attributes import Community, RouteAttributes


def pool(name: str, block: str, *advertisements: tuple[int, int, int]) -> Pool:
    """Return a pool; an advertisement is (length, first community, number of communities)."""
    return Pool(
        name,
        Protocol.BGP,
        (ip_network(block),),
        bgp_advertisements=tuple(
            BgpAdvertisement(
                length,
                attributes=RouteAttributes(
                    communities=frozenset(map(Community, range(first, first + count)))
                ),
            )
            for length, first, count in advertisements
        ),
    )


def oversized(*pools: Pool) -> dict[int, tuple[str, int]]:
    found = find_oversized(pools, lambda _: None)
    return {index: (str(one.prefix), one.size) for index, one in found.items()}


def test_communities_are_counted_per_aggregation_length() -> None:
    assert oversized(pool("a", "10.0.0.0/24", (32, 0, 900), (24, 900, 900))) == {}
    assert oversized(pool("a", "10.0.0.0/24", (32, 0, 901), (24, 0, 1))) == {
        0: ("10.0.0.0/32", 3604)
    }


def test_communities_of_one_aggregation_length_add_up() -> None:
    assert oversized(pool("a", "10.0.0.0/24", (24, 0, 900), (24, 0, 900))) == {}
    assert oversized(pool("a", "10.0.0.0/24", (24, 0, 900), (24, 100, 900))) == {
        0: ("10.0.0.0/24", 4000)
    }


def test_communities_of_pools_sharing_a_prefix_add_up() -> None:
    one, other = pool("a", "10.0.0.0/25", (24, 0, 500)), pool("b", "10.0.0.128/25", (24, 500, 500))
    assert oversized(one, other) == {0: ("10.0.0.0/24", 4000), 1: ("10.0.0.0/24", 4000)}
    assert oversized(one, pool("b", "10.0.1.0/24", (24, 500, 500))) == {}
    assert oversized(one, pool("b", "fd00::/64", (24, 500, 500))) == {}


def test_community_check_counts_its_steps() -> None:
    steps: list[int] = []
    find_oversized([pool("a", "10.0.0.0/24", (24, 0, 1600))], steps.append)
    assert sum(steps) > 100
