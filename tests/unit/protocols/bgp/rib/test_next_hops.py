from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from metallb_py.addresses import AddressFamily
from metallb_py.model.peers import SessionParameters
from metallb_py.protocols.bgp.negotiation import NegotiatedSession
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses, NextHop, next_hops

V4 = IPv4Address("10.0.0.1")
V6 = IPv6Address("fd00::1")
LINK_LOCAL = IPv6Address("fe80::1")
GIVEN_V4 = IPv4Address("192.0.2.1")
GIVEN_V6 = IPv6Address("2001:db8::1")
BOTH = frozenset(AddressFamily)


def terms(
    *, families: frozenset[AddressFamily] = BOTH, extended: bool = False
) -> NegotiatedSession:
    return NegotiatedSession(1, 2, V4, 90, 30.0, True, families, extended_next_hop=extended)


def chosen(
    local: LocalAddresses, *given: IPv4Address | IPv6Address, extended: bool = False
) -> dict[int, NextHop]:
    return next_hops(SessionParameters(1, 2, next_hops=given), terms(extended=extended), local)


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
    only_v6 = terms(families=frozenset({AddressFamily.IPV6}))

    assert next_hops(SessionParameters(1, 2), only_v6, LocalAddresses(V4, ipv6=V6)) == {
        6: NextHop(V6)
    }
