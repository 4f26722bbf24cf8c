"""From what is to be said of a route to what one peer hears (RFC 4271 section 5.1)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from metallb_py.protocols.bgp.adj_rib_out import RouteAttributes
from metallb_py.protocols.bgp.attributes import (
    AsSegment,
    Origin,
    PathAttributes,
    SegmentKind,
    encode_attributes,
)
from metallb_py.protocols.bgp.communities import LinkBandwidth
from metallb_py.protocols.bgp.framing import MAX_LENGTH
from metallb_py.protocols.bgp.negotiation import Terms
from metallb_py.protocols.bgp.packing import OVERHEAD

BANDWIDTH_OF_ONE = 125_000_000.0
"""Bytes per second that one unit of weight stands for: 1 Gbit/s, as if each endpoint had a link
of its own. Routers compare the numbers only, and all of our nodes count in the same unit; this one
keeps them whole in what routers show."""

MAX_PREPEND = 255
"""Repetitions; so long a path leaves room for 730 communities."""

_MAX_SEGMENT = 255

_ROOM = MAX_LENGTH - OVERHEAD - (4 + 3 + 1 + 32 + 1) - 17
"""Bytes for attributes beside the longest MP_REACH_NLRI with a single prefix in it."""

_ALWAYS_ROOM = 2920
"""Bytes of communities that fit beside whatever else there may be."""

_HEADERS = 2 * 4
"""Bytes of the headers of two kinds of communities."""


def path_attributes(terms: Terms, origin: Origin, route: RouteAttributes) -> PathAttributes:
    """Say it in this session's terms. They fit a message of any length with any prefix.

    LOCAL_PREF is for peers of our own AS, and so is an empty AS_PATH: there, our number in it
    would be a loop, so nothing is prepended either.
    """
    attributes = PathAttributes(
        origin=origin,
        as_path=() if terms.internal else _as_path(terms.local_asn, route.as_path_prepend),
        med=route.med,
        local_pref=route.local_pref if terms.internal else None,
        communities=route.communities,
        large_communities=route.large_communities,
        link_bandwidth=_link_bandwidth(terms, route),
    )
    if 4 * len(route.communities) + 12 * len(route.large_communities) <= _ALWAYS_ROOM:
        return attributes
    return _fitting(attributes, four_octet=terms.four_octet)


def _fitting(attributes: PathAttributes, *, four_octet: bool) -> PathAttributes:
    """Leave out what is too much, which no valid configuration has for one route."""
    others = replace(attributes, communities=(), large_communities=())
    taken = len(encode_attributes(others, four_octet=four_octet, next_hop=IPv4Address(0)))
    room = _ROOM - taken - _HEADERS
    # The highest ones count: among them are those that all routers know.
    communities = attributes.communities[-(room // 4) :]
    large = attributes.large_communities[: (room - 4 * len(communities)) // 12]
    return replace(attributes, communities=communities, large_communities=large)


def _as_path(asn: int, prepend: int) -> tuple[AsSegment, ...]:
    count = 1 + min(prepend, MAX_PREPEND)
    lengths = [_MAX_SEGMENT] * (count // _MAX_SEGMENT) + [count % _MAX_SEGMENT]
    return tuple(AsSegment(SegmentKind.SEQUENCE, (asn,) * n) for n in reversed(lengths) if n)


def _link_bandwidth(terms: Terms, route: RouteAttributes) -> LinkBandwidth | None:
    if route.weight is None:
        return None
    return LinkBandwidth(terms.local_asn, route.weight * BANDWIDTH_OF_ONE)
