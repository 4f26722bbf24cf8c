from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from metallb_py.protocols.bgp.adj_rib_out import RouteAttributes
from metallb_py.protocols.bgp.attributes import AsSegment, Origin, SegmentKind
from metallb_py.protocols.bgp.codes import AddressFamily
from metallb_py.protocols.bgp.communities import LinkBandwidth
from metallb_py.protocols.bgp.negotiation import Terms
from metallb_py.protocols.bgp.next_hops import NextHop
from metallb_py.protocols.bgp.packing import pack_announcements
from metallb_py.protocols.bgp.path import path_attributes

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


@pytest.mark.parametrize(
    ("prepend", "lengths"), [(0, [1]), (253, [254]), (254, [255]), (255, [1, 255]), (999, [1, 255])]
)
def test_segments_hold_255_numbers_at_most(prepend: int, lengths: list[int]) -> None:
    said = path_attributes(terms(), Origin.IGP, RouteAttributes(as_path_prepend=prepend))

    assert [len(segment.asns) for segment in said.as_path] == lengths


def test_whatever_is_said_fits_one_message() -> None:
    much = RouteAttributes(
        300,
        tuple(range(900)),
        tuple((n, n, n) for n in range(900)),
        med=1,
        as_path_prepend=255,
        weight=1,
    )
    next_hop = NextHop(IPv6Address("fd00::1"), IPv6Address("fe80::1"))
    for local, peer in ((4200000000, 1), (1, 1)):
        said = path_attributes(terms(local, peer), Origin.IGP, much)
        prefixes = (IPv6Network("2001:db8::1/128"),)
        (message,) = pack_announcements(said, next_hop, prefixes, four_octet=True)

        assert len(message) in range(4096 - 16, 4097)
        assert said.communities == tuple(range(900 - len(said.communities), 900))
        assert len(said.communities) >= 730


@pytest.mark.parametrize("count", [0, 300])
def test_what_a_configuration_may_say_is_said_in_full(count: int) -> None:
    """Of 900 units, a large community taking three of them, with a path of 64 numbers."""
    route = RouteAttributes(
        300,
        tuple(range(900 - 3 * count)),
        tuple((n, n, n) for n in range(count)),
        med=1,
        as_path_prepend=63,
        weight=1,
    )
    said = path_attributes(terms(4200000000, 1), Origin.IGP, route)

    assert said.communities == route.communities
    assert said.large_communities == route.large_communities
