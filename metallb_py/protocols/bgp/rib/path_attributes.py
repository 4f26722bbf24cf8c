"""Path attributes of a route in one session (RFC 4271 section 5.1)."""

from __future__ import annotations

from metallb_py.model.peers import Origin
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.protocols.bgp.codec.attributes import AsSegment, PathAttributes, SegmentKind
from metallb_py.protocols.bgp.codec.communities import LinkBandwidth
from metallb_py.protocols.bgp.negotiation import NegotiatedSession

BANDWIDTH_OF_ONE = 125_000_000.0
"""Bytes per second of one unit of weight: 1 Gbit/s, as if each endpoint had a link of its own.

Routers only compare the numbers, and all nodes use the same unit; with this one routers display
whole numbers."""


def path_attributes(
    terms: NegotiatedSession, origin: Origin, route: RouteAttributes
) -> PathAttributes:
    """Return the path attributes with which the route is advertised in this session.

    Only peers in our own AS get LOCAL_PREF, and an empty AS_PATH: there our AS number in it would
    be an AS loop, so nothing is prepended either.
    """
    path = AsSegment(SegmentKind.SEQUENCE, (terms.local_asn,) * (1 + route.as_path_prepend))
    return PathAttributes(
        origin=origin,
        as_path=() if terms.internal else (path,),
        med=route.med,
        local_pref=route.local_pref if terms.internal else None,
        communities=tuple(sorted(route.communities)),
        large_communities=tuple(sorted(route.large_communities)),
        link_bandwidth=_link_bandwidth(terms, route),
    )


def _link_bandwidth(terms: NegotiatedSession, route: RouteAttributes) -> LinkBandwidth | None:
    if route.weight is None:
        return None
    return LinkBandwidth(terms.local_asn, route.weight * BANDWIDTH_OF_ONE)
