from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from metallb_py.config.compile.advertisements import MAX_PREPEND
from metallb_py.model.routes import COMMUNITY_ROOM
from metallb_py.protocols.bgp.codec.attributes import AsSegment, Origin, SegmentKind
from metallb_py.protocols.bgp.codec.codes import AddressFamily
from metallb_py.protocols.bgp.codec.communities import LinkBandwidth
from metallb_py.protocols.bgp.codec.framing import MAX_LENGTH
from metallb_py.protocols.bgp.negotiation import Terms
from metallb_py.protocols.bgp.rib.adj_rib_out import RouteAttributes
from metallb_py.protocols.bgp.rib.next_hops import NextHop
from metallb_py.protocols.bgp.rib.path_attributes import path_attributes
from metallb_py.protocols.bgp.rib.update_packing import pack_announcements

EVERYTHING = RouteAttributes(
    local_pref=300,
    communities=(1, 2),
    large_communities=((64512, 1, 2),),
    med=7,
    as_path_prepend=2,
    weight=3,
)


def terms(local_asn: int = 64512, peer_asn: int = 64513) -> Terms:
    families = frozenset(AddressFamily)
    return Terms(local_asn, peer_asn, IPv4Address(9), 90, 30.0, True, families)


def sequence(*asns: int) -> AsSegment:
    return AsSegment(SegmentKind.SEQUENCE, asns)


def test_an_external_peer_hears_our_path_and_no_preference() -> None:
    said = path_attributes(terms(), Origin.IGP, EVERYTHING)

    assert said.origin is Origin.IGP
    assert said.as_path == (sequence(64512, 64512, 64512),)
    assert said.local_pref is None
    assert said.med == 7
    assert (said.communities, said.large_communities) == ((1, 2), ((64512, 1, 2),))
    assert said.link_bandwidth == LinkBandwidth(64512, 375e6)


def test_an_internal_peer_hears_our_preference_and_no_path() -> None:
    said = path_attributes(terms(peer_asn=64512), Origin.INCOMPLETE, EVERYTHING)

    assert (said.as_path, said.local_pref, said.med) == ((), 300, 7)
    assert said.link_bandwidth == LinkBandwidth(64512, 375e6)


def test_nothing_is_said_of_what_nobody_wants_said() -> None:
    said = path_attributes(terms(), Origin.INCOMPLETE, RouteAttributes())

    assert (said.med, said.link_bandwidth) == (None, None)
    assert (said.communities, said.large_communities) == ((), ())


@pytest.mark.parametrize("large", [0, COMMUNITY_ROOM // 12])
@pytest.mark.parametrize(
    ("local", "peer", "four_octet"),
    [(4200000000, 1, True), (64512, 1, False), (1, 1, True), (1, 1, False)],
)
def test_the_most_that_a_configuration_may_say_fits_one_message(
    large: int, local: int, peer: int, four_octet: bool
) -> None:
    plain = COMMUNITY_ROOM // 4 - 3 * large + 1  # the one more is GRACEFUL_SHUTDOWN
    route = RouteAttributes(
        300,
        tuple(range(plain)),
        tuple((n, n, n) for n in range(large)),
        med=1,
        as_path_prepend=MAX_PREPEND,
        weight=1,
    )
    said = path_attributes(terms(local, peer), Origin.IGP, route)
    next_hop = NextHop(IPv6Address("fd00::1"), IPv6Address("fe80::1"))
    prefixes = (IPv6Network("2001:db8::1/128"),)
    (message,) = pack_announcements(said, next_hop, prefixes, four_octet=four_octet)

    assert len(message) <= MAX_LENGTH
