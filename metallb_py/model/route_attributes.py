"""Path attributes of a route that do not depend on the session in which it is advertised.

The configuration, the routes of the services and the Adj-RIB-Out of each peer share these records;
``protocols.bgp.rib.path_attributes`` adds what depends on the session (RFC 4271 section 5.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import NewType

Community = NewType("Community", int)
"""A BGP community (RFC 1997) as its 32-bit value: ``64512:1`` is ``64512 << 16 | 1``."""

LargeCommunity = tuple[int, int, int]
"""A large community (RFC 8092): three 32-bit numbers, the first of them an AS number."""

MAX_COMMUNITY_BYTES = 3600
"""Maximum size of a route's communities, in bytes of the 4096 of a message (RFC 4271).

The rest is enough for an AS path of 17 numbers, in both of its encodings (RFC 6793), a link
bandwidth, two next hops (RFC 2545) and the longest prefix.
"""

_COMMUNITY, _LARGE_COMMUNITY = 4, 12  # bytes of one in a message


@dataclass(frozen=True, slots=True)
class RouteAttributes:
    """The path attributes of a route, the same in every session."""

    local_pref: int = 0
    """LOCAL_PREF (RFC 4271 section 5.1.5), sent to internal peers only."""
    communities: frozenset[Community] = frozenset()
    """COMMUNITIES (RFC 1997)."""
    large_communities: frozenset[LargeCommunity] = frozenset()
    """LARGE_COMMUNITY (RFC 8092)."""
    med: int | None = None
    """MULTI_EXIT_DISC (RFC 4271 section 5.1.4); None omits the attribute."""
    as_path_prepend: int = 0
    """Number of additional copies of the own AS number in AS_PATH, up to 254."""
    weight: int | None = None
    """Link bandwidth (RFC 10005), in ready endpoints on this node; None sends none."""


def merge(attributes: Iterable[RouteAttributes]) -> RouteAttributes:
    """Return the attributes of one route in place of several, of at least one; in any order.

    The highest local preference and the lowest MED are those that a router would prefer among
    separate routes. All communities are kept, the shortest AS path, and the highest weight, which
    is right for the advertisements of one service: the weights of several add up.
    """
    every = tuple(attributes)
    if len(every) == 1:
        return every[0]
    return RouteAttributes(
        max(each.local_pref for each in every),
        frozenset().union(*(each.communities for each in every)),
        frozenset().union(*(each.large_communities for each in every)),
        min((each.med for each in every if each.med is not None), default=None),
        min(each.as_path_prepend for each in every),
        max((each.weight for each in every if each.weight is not None), default=None),
    )


def limit_communities(attributes: RouteAttributes) -> RouteAttributes:
    """Return the attributes without the communities in excess of ``MAX_COMMUNITY_BYTES``."""
    plain, large = attributes.communities, attributes.large_communities
    if communities_size(plain, large) <= MAX_COMMUNITY_BYTES:
        return attributes
    # The highest ones are kept, because the well-known ones, such as NO_EXPORT, are among them.
    kept = frozenset(sorted(plain)[-(MAX_COMMUNITY_BYTES // _COMMUNITY) :])
    left = MAX_COMMUNITY_BYTES - _COMMUNITY * len(kept)
    first = frozenset(sorted(large)[: left // _LARGE_COMMUNITY])
    return replace(attributes, communities=kept, large_communities=first)


def communities_size(plain: Collection[Community], large: Collection[LargeCommunity]) -> int:
    """Return the size of distinct communities in a message, in bytes."""
    return _COMMUNITY * len(plain) + _LARGE_COMMUNITY * len(large)
