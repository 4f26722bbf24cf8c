"""Path attributes of a route in one session (RFC 4271 section 5.1), the next hops among them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.model.peers import Origin, SessionParameters
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.protocols.bgp.codec.attributes import (
    AsSegment,
    LinkBandwidth,
    PathAttributes,
    SegmentKind,
)
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


@dataclass(frozen=True, slots=True)
class LocalAddresses:
    """The connection's own address, and an address of each family of its interface.

    ``ipv6`` is not a link-local address.
    """

    own: IPAddress
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class NextHop:
    """A next hop; for IPv6 with our link-local address if the peer is on the link (RFC 2545)."""

    address: IPAddress
    link_local: IPv6Address | None = None


def next_hops(
    parameters: SessionParameters, terms: NegotiatedSession, local: LocalAddresses
) -> dict[int, NextHop]:
    """Return the next hop for each IP version whose prefixes the session can carry.

    Configured next hops take precedence. Over IPv6, IPv4 prefixes get an IPv6 next hop where that
    was negotiated (RFC 8950), since the peer is then known to support it; else the interface's
    IPv4 address.
    """
    given = {address.version: NextHop(address) for address in parameters.next_hops}
    ipv6 = given.get(6) or _ipv6(local)
    ipv4 = given.get(4) or _ipv4(local, ipv6 if terms.extended_next_hop else None)
    found = {AddressFamily.IPV4: ipv4, AddressFamily.IPV6: ipv6}
    usable = ((family.version, found[family]) for family in sorted(terms.families))
    return {version: next_hop for version, next_hop in usable if next_hop is not None}


def _ipv6(local: LocalAddresses) -> NextHop | None:
    own = local.own if isinstance(local.own, IPv6Address) else None
    if own is not None and own.is_link_local:
        # Without a global address the link-local one is sent in its place, as FRR does.
        return NextHop(local.ipv6 or own, own)
    address = own or local.ipv6
    return NextHop(address) if address is not None else None


def _ipv4(local: LocalAddresses, extended: NextHop | None) -> NextHop | None:
    if isinstance(local.own, IPv4Address):
        return NextHop(local.own)
    if extended is not None:
        return extended
    return NextHop(local.ipv4) if local.ipv4 is not None else None
