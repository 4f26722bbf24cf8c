"""Path attributes: merging, and the limit of communities."""

from __future__ import annotations

from itertools import permutations

import pytest

from metallb_py.model.route_attributes import (
    MAX_COMMUNITY_BYTES,
    Community,
    RouteAttributes,
    communities_size,
    limit_communities,
    merge,
)

NO_EXPORT = Community(0xFFFFFF01)
LARGE = (64512, 1, 2)


def communities(*values: int) -> frozenset[Community]:
    return frozenset(map(Community, values))


def test_merged_attributes_are_the_preferred_ones_in_any_order() -> None:
    several = (
        RouteAttributes(100, communities(1), as_path_prepend=2, weight=2),
        RouteAttributes(300, communities(2), med=9, as_path_prepend=1),
        RouteAttributes(200, communities(1), frozenset({LARGE}), 8, as_path_prepend=3, weight=5),
    )
    expected = RouteAttributes(300, communities(1, 2), frozenset({LARGE}), 8, 1, weight=5)
    for order in permutations(several):
        assert merge(order) == expected


def test_merged_attributes_have_no_med_and_no_weight_where_none_has_one() -> None:
    merged = merge([RouteAttributes(1), RouteAttributes(2)])
    assert (merged.med, merged.weight) == (None, None)
    zero = merge([RouteAttributes(), RouteAttributes(med=0, weight=0)])
    assert (zero.med, zero.weight) == (0, 0)


def test_attributes_of_one_route_are_merged_to_the_same_object() -> None:
    attributes = RouteAttributes(med=1)
    assert merge([attributes]) is attributes


@pytest.mark.parametrize(("plain", "large"), [(0, 0), (900, 0), (0, 300), (897, 1)])
def test_communities_within_the_limit_are_kept(plain: int, large: int) -> None:
    triples = frozenset((n, n, n) for n in range(large))
    attributes = RouteAttributes(1, communities(*range(plain)), triples)
    assert communities_size(attributes.communities, triples) <= MAX_COMMUNITY_BYTES
    assert limit_communities(attributes) is attributes


def test_lowest_communities_in_excess_are_dropped() -> None:
    many = RouteAttributes(7, communities(*range(900), NO_EXPORT), frozenset({LARGE}), med=1)
    wanted = RouteAttributes(7, communities(*range(1, 900), NO_EXPORT), med=1)
    assert limit_communities(many) == wanted


def test_large_communities_get_the_room_that_communities_leave() -> None:
    triples = [(n, n, n) for n in range(300)]
    four = communities(1, 2, 3, 4)
    limited = limit_communities(RouteAttributes(0, four, frozenset(triples)))
    assert limited == RouteAttributes(0, four, frozenset(triples[:298]))
