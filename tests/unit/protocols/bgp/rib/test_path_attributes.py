from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from metallb_py.addresses import AddressFamily
from metallb_py.config.compile.limits import MAX_PREPEND
from metallb_py.model.peers import Origin, SessionParameters
from metallb_py.model.route_attributes import MAX_COMMUNITY_BYTES, Community, RouteAttributes
from metallb_py.protocols.bgp.codec.attributes import AsSegment, LinkBandwidth, SegmentKind
from metallb_py.protocols.bgp.codec.framing import MAX_LENGTH
from metallb_py.protocols.bgp.negotiation import NegotiatedSession
from metallb_py.protocols.bgp.rib.path_attributes import (
    LocalAddresses,
    NextHop,
    next_hops,
    path_attributes,
)
from metallb_py.protocols.bgp.rib.update_packing import pack_announcements

EVERYTHING = RouteAttributes(
    local_pref=300,
    communities=frozenset({Community(0xFFFFFF01), Community(64512 << 16 | 1), Community(7)}),
    large_communities=frozenset({(64512, 1, 2), (64512, 0, 9), (7, 8, 9)}),
    med=7,
    as_path_prepend=2,
    weight=3,
)


def terms(local_asn: int = 64512, peer_asn: int = 64513) -> NegotiatedSession:
    families = frozenset(AddressFamily)
    return NegotiatedSession(local_asn, peer_asn, IPv4Address(9), 90, 30.0, True, families)


def sequence(*asns: int) -> AsSegment:
    return AsSegment(SegmentKind.SEQUENCE, asns)


def test_external_peer_gets_as_path_and_no_local_pref() -> None:
    attributes = path_attributes(terms(), Origin.IGP, EVERYTHING)

    assert attributes.origin is Origin.IGP
    assert attributes.as_path == (sequence(64512, 64512, 64512),)
    assert attributes.local_pref is None
    assert attributes.med == 7
    assert attributes.communities == (7, 64512 << 16 | 1, 0xFFFFFF01), "in ascending order"
    assert attributes.large_communities == ((7, 8, 9), (64512, 0, 9), (64512, 1, 2))
    assert attributes.link_bandwidth == LinkBandwidth(64512, 375e6)


def test_internal_peer_gets_local_pref_and_an_empty_as_path() -> None:
    attributes = path_attributes(terms(peer_asn=64512), Origin.INCOMPLETE, EVERYTHING)

    assert (attributes.as_path, attributes.local_pref, attributes.med) == ((), 300, 7)
    assert attributes.link_bandwidth == LinkBandwidth(64512, 375e6)


def test_optional_attributes_that_are_not_set_are_omitted() -> None:
    attributes = path_attributes(terms(), Origin.INCOMPLETE, RouteAttributes())

    assert (attributes.med, attributes.link_bandwidth) == (None, None)
    assert (attributes.communities, attributes.large_communities) == ((), ())


@pytest.mark.parametrize("large", [0, MAX_COMMUNITY_BYTES // 12])
@pytest.mark.parametrize(
    ("local", "peer", "four_octet"),
    [(4200000000, 1, True), (64512, 1, False), (1, 1, True), (1, 1, False)],
)
def test_largest_configurable_path_attributes_fit_one_message(
    large: int, local: int, peer: int, four_octet: bool
) -> None:
    plain = MAX_COMMUNITY_BYTES // 4 - 3 * large + 1  # one more: GRACEFUL_SHUTDOWN
    route = RouteAttributes(
        300,
        frozenset(map(Community, range(plain))),
        frozenset((n, n, n) for n in range(large)),
        med=1,
        as_path_prepend=MAX_PREPEND,
        weight=1,
    )
    attributes = path_attributes(terms(local, peer), Origin.IGP, route)
    next_hop = NextHop(IPv6Address("fd00::1"), IPv6Address("fe80::1"))
    prefixes = (IPv6Network("2001:db8::1/128"),)
    (message,) = pack_announcements(attributes, next_hop, prefixes, four_octet=four_octet)

    assert len(message) <= MAX_LENGTH


V4 = IPv4Address("10.0.0.1")
V6 = IPv6Address("fd00::1")
LINK_LOCAL = IPv6Address("fe80::1")
GIVEN_V4 = IPv4Address("192.0.2.1")
GIVEN_V6 = IPv6Address("2001:db8::1")
BOTH = frozenset(AddressFamily)


def negotiated(
    *, families: frozenset[AddressFamily] = BOTH, extended: bool = False
) -> NegotiatedSession:
    return NegotiatedSession(1, 2, V4, 90, 30.0, True, families, extended_next_hop=extended)


def chosen(
    local: LocalAddresses, *given: IPv4Address | IPv6Address, extended: bool = False
) -> dict[int, NextHop]:
    return next_hops(SessionParameters(1, 2, next_hops=given), negotiated(extended=extended), local)


@pytest.mark.parametrize("extended", [False, True])
def test_over_ipv4_each_family_uses_its_own_local_address(extended: bool) -> None:
    assert chosen(LocalAddresses(V4, ipv6=V6), extended=extended) == {
        4: NextHop(V4),
        6: NextHop(V6),
    }


def test_a_family_without_address_has_no_next_hop() -> None:
    assert chosen(LocalAddresses(V4)) == {4: NextHop(V4)}
    assert chosen(LocalAddresses(V6)) == {6: NextHop(V6)}


def test_over_ipv6_the_local_ipv4_address_is_the_ipv4_next_hop() -> None:
    assert chosen(LocalAddresses(V6, V4)) == {4: NextHop(V4), 6: NextHop(V6)}


def test_negotiated_extended_next_hop_is_preferred_for_ipv4() -> None:
    assert chosen(LocalAddresses(V6, V4), extended=True) == {4: NextHop(V6), 6: NextHop(V6)}


def test_link_local_peer_gets_global_and_link_local_next_hops() -> None:
    both = NextHop(V6, LINK_LOCAL)

    assert chosen(LocalAddresses(LINK_LOCAL, V4, V6)) == {4: NextHop(V4), 6: both}
    assert chosen(LocalAddresses(LINK_LOCAL, None, V6), extended=True) == {4: both, 6: both}


def test_lone_link_local_address_fills_both_next_hop_fields() -> None:
    assert chosen(LocalAddresses(LINK_LOCAL), extended=True) == dict.fromkeys(
        (4, 6), NextHop(LINK_LOCAL, LINK_LOCAL)
    )


def test_configured_next_hops_take_precedence() -> None:
    local = LocalAddresses(LINK_LOCAL, V4, V6)

    assert chosen(local, GIVEN_V4, GIVEN_V6, extended=True) == {
        4: NextHop(GIVEN_V4),
        6: NextHop(GIVEN_V6),
    }
    assert chosen(LocalAddresses(V6), GIVEN_V6, extended=True)[4] == NextHop(GIVEN_V6)
    assert chosen(LocalAddresses(V4), GIVEN_V6)[4] == NextHop(V4)


def test_family_that_was_not_negotiated_has_no_next_hop() -> None:
    only_v6 = negotiated(families=frozenset({AddressFamily.IPV6}))

    assert next_hops(SessionParameters(1, 2), only_v6, LocalAddresses(V4, ipv6=V6)) == {
        6: NextHop(V6)
    }
