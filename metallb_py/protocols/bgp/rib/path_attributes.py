"""From what is to be said of a route to what one peer hears (RFC 4271 section 5.1)."""

from __future__ import annotations

from metallb_py.protocols.bgp.codec.attributes import (
    AsSegment,
    Origin,
    PathAttributes,
    SegmentKind,
)
from metallb_py.protocols.bgp.codec.communities import LinkBandwidth
from metallb_py.protocols.bgp.negotiation import Terms
from metallb_py.protocols.bgp.rib.adj_rib_out import RouteAttributes

BANDWIDTH_OF_ONE = 125_000_000.0
"""Bytes per second that one unit of weight stands for: 1 Gbit/s, as if each endpoint had a link
of its own. Routers compare the numbers only, and all of our nodes count in the same unit; this one
keeps them whole in what routers show."""


def path_attributes(terms: Terms, origin: Origin, route: RouteAttributes) -> PathAttributes:
    """Say it in this session's terms.

    LOCAL_PREF is for peers of our own AS, and so is an empty AS_PATH: there, our number in it
    would be a loop, so nothing is prepended either.
    """
    path = AsSegment(SegmentKind.SEQUENCE, (terms.local_asn,) * (1 + route.as_path_prepend))
    return PathAttributes(
        origin=origin,
        as_path=() if terms.internal else (path,),
        med=route.med,
        local_pref=route.local_pref if terms.internal else None,
        communities=route.communities,
        large_communities=route.large_communities,
        link_bandwidth=_link_bandwidth(terms, route),
    )


def _link_bandwidth(terms: Terms, route: RouteAttributes) -> LinkBandwidth | None:
    if route.weight is None:
        return None
    return LinkBandwidth(terms.local_asn, route.weight * BANDWIDTH_OF_ONE)
