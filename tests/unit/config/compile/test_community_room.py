"""Which prefixes have too many communities. The limit itself: see test_compile_pools."""

from __future__ import annotations

from ipaddress import ip_network

from metallb_py.config.compile.community_room import find_crowded
from metallb_py.model.config import BgpAdvertisement, Community, Pool, Protocol


def pool(name: str, block: str, *advertisements: tuple[int, int, int]) -> Pool:
    """Return a pool; an advertisement is a length, the first community, and how many there are."""
    return Pool(
        name,
        Protocol.BGP,
        (ip_network(block),),
        bgp_advertisements=tuple(
            BgpAdvertisement(
                length, communities=frozenset(map(Community, range(first, first + count)))
            )
            for length, first, count in advertisements
        ),
    )


def crowded(*pools: Pool) -> dict[int, tuple[str, int]]:
    found = find_crowded(pools, lambda _: None)
    return {index: (str(one.prefix), one.size) for index, one in found.items()}


def test_lengths_count_apart() -> None:
    assert crowded(pool("a", "10.0.0.0/24", (32, 0, 900), (24, 900, 900))) == {}
    assert crowded(pool("a", "10.0.0.0/24", (32, 0, 901), (24, 0, 1))) == {0: ("10.0.0.0/32", 3604)}


def test_advertisements_of_one_length_count_together() -> None:
    assert crowded(pool("a", "10.0.0.0/24", (24, 0, 900), (24, 0, 900))) == {}
    assert crowded(pool("a", "10.0.0.0/24", (24, 0, 900), (24, 100, 900))) == {
        0: ("10.0.0.0/24", 4000)
    }


def test_pools_count_together_where_they_share_a_prefix() -> None:
    one, other = pool("a", "10.0.0.0/25", (24, 0, 500)), pool("b", "10.0.0.128/25", (24, 500, 500))
    assert crowded(one, other) == {0: ("10.0.0.0/24", 4000), 1: ("10.0.0.0/24", 4000)}
    assert crowded(one, pool("b", "10.0.1.0/24", (24, 500, 500))) == {}
    assert crowded(one, pool("b", "fd00::/64", (24, 500, 500))) == {}


def test_steps_are_counted() -> None:
    steps: list[int] = []
    find_crowded([pool("a", "10.0.0.0/24", (24, 0, 1600))], steps.append)
    assert sum(steps) > 100
