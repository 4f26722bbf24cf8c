"""Router discovery (RFC 4861), its messages compared with scapy."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr,
)
from scapy.packet import Packet as ScapyPacket

from metallb_py.protocols.router_discovery import (
    Advertisement,
    Effect,
    Packet,
    RouterDiscovery,
    RouterDiscoveryError,
    RouterFound,
    Solicitation,
    Transmit,
    decode,
    encode,
)

ROUTER = IPv6Address("fe80::2")
OTHER = IPv6Address("fe80::3")


def packet(message: ScapyPacket, source: IPv6Address = ROUTER, hop_limit: int = 255) -> Packet:
    return Packet(bytes(message), source, hop_limit)


def routers_found(
    discovery: RouterDiscovery, source: IPv6Address, now: float, lifetime: int = 1800
) -> list[IPv6Address]:
    effects = discovery.receive(packet(ICMPv6ND_RA(routerlifetime=lifetime), source), now)
    return [effect.address for effect in effects if isinstance(effect, RouterFound)]


def sent(effects: tuple[Effect, ...]) -> list[tuple[type[ScapyPacket], str]]:
    kinds = {133: ICMPv6ND_RS, 134: ICMPv6ND_RA}
    return [(kinds[e.data[0]], str(e.destination)) for e in effects if isinstance(e, Transmit)]


RS, RA = (ICMPv6ND_RS, "ff02::2"), (ICMPv6ND_RA, "ff02::1")


@pytest.fixture
def discovery() -> RouterDiscovery:
    return RouterDiscovery(lambda: 0.4)


def test_router_advertisement_is_sent_with_lifetime_zero() -> None:
    ra = ICMPv6ND_RA(encode(Advertisement()))
    assert (ra.type, ra.code, ra.routerlifetime, ra.chlim) == (134, 0, 0, 0)
    assert (ra.M, ra.O, ra.reachabletime, ra.retranstimer) == (0, 0, 0, 0)
    rs = ICMPv6ND_RS(encode(Solicitation()))
    assert (rs.type, rs.code, len(encode(Solicitation()))) == (133, 0, 8)


def test_received_advertisement_and_solicitation_are_decoded() -> None:
    options = ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01") / ICMPv6NDOptMTU()
    assert decode(packet(ICMPv6ND_RA(routerlifetime=30) / options)) == Advertisement(30)
    assert decode(packet(ICMPv6ND_RS() / options, IPv6Address("::"))) == Solicitation()


@pytest.mark.parametrize(
    ("invalid", "problem"),
    [
        (packet(ICMPv6ND_RA(), hop_limit=254), "hop limit: found 254, want 255"),
        (packet(ICMPv6ND_RA(), IPv6Address("fd00::2")), "want a link-local address"),
        (packet(ICMPv6ND_RA(code=1)), "icmpv6 code: found 1, want 0"),
        (packet(ICMPv6EchoRequest()), "icmpv6 type: found 128, want 133 or 134"),
        (Packet(bytes(ICMPv6ND_RA())[:15], ROUTER, 255), "found 15 bytes, want 16"),
        (Packet(bytes(ICMPv6ND_RS())[:7], ROUTER, 255), "found 7 bytes, want 8"),
        (Packet(b"", ROUTER, 255), "found 0 bytes, want 4 or more"),
    ],
)
def test_invalid_router_discovery_message_is_discarded(
    discovery: RouterDiscovery, invalid: Packet, problem: str
) -> None:
    with pytest.raises(RouterDiscoveryError, match=problem):
        discovery.receive(invalid, 1.0)


@given(st.binary(max_size=64), st.integers(0, 255), st.ip_addresses(v=6))
def test_any_bytes_decode_or_raise_router_discovery_error(
    data: bytes, hop_limit: int, source: IPv6Address
) -> None:
    try:
        message = decode(Packet(data, source, hop_limit))
    except RouterDiscoveryError:
        return
    assert hop_limit == 255
    assert isinstance(message, Solicitation) or source.is_link_local


def test_router_solicitations_are_sent_until_a_router_is_found(discovery: RouterDiscovery) -> None:
    assert sent(discovery.start(100.0)) == [RS, RA]
    assert discovery.next_deadline() == 101.0
    assert discovery.handle_timeout(100.9) == ()
    assert sent(discovery.handle_timeout(101.0)) == [RS, RA]
    assert routers_found(discovery, ROUTER, 101.5) == [ROUTER]
    assert sent(discovery.handle_timeout(102.0)) == [RA]
    assert discovery.next_deadline() == 111.0  # 10 s, less 0.4 of a quarter of it


def test_solicited_advertisements_are_at_least_three_seconds_apart(
    discovery: RouterDiscovery,
) -> None:
    discovery.start(100.0)
    discovery.handle_timeout(101.0)
    discovery.handle_timeout(102.0)
    for _ in range(3):
        assert discovery.receive(packet(ICMPv6ND_RS()), 102.5) == ()
        assert discovery.next_deadline() == 105.0
    discovery.handle_timeout(105.0)
    discovery.receive(packet(ICMPv6ND_RS()), 112.0)
    assert discovery.next_deadline() == 112.0


def test_router_is_reported_once_and_replaced_after_three_seconds(
    discovery: RouterDiscovery,
) -> None:
    discovery.start(0.0)
    assert routers_found(discovery, ROUTER, 1.0) == [ROUTER]
    assert routers_found(discovery, ROUTER, 2.0) == []
    assert routers_found(discovery, OTHER, 3.9) == []
    assert routers_found(discovery, OTHER, 4.0) == [OTHER]


def test_default_router_is_preferred_to_another_speaker_on_the_link(
    discovery: RouterDiscovery,
) -> None:
    discovery.start(0.0)
    assert routers_found(discovery, OTHER, 1.0, lifetime=0) == [OTHER]
    assert routers_found(discovery, ROUTER, 10.0, lifetime=30) == [ROUTER]
    assert routers_found(discovery, OTHER, 39.0, lifetime=0) == []
    assert routers_found(discovery, OTHER, 40.0, lifetime=0) == [OTHER]


def test_restart_after_link_down_discovers_the_router_again(discovery: RouterDiscovery) -> None:
    discovery.start(0.0)
    assert routers_found(discovery, ROUTER, 1.0) == [ROUTER]
    assert sent(discovery.start(2.0)) == [RS, RA]
    assert discovery.next_deadline() == 3.0
    assert routers_found(discovery, ROUTER, 2.5) == [ROUTER]
