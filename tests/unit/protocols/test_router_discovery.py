"""Router discovery, with scapy as the other opinion on its bytes."""

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


def heard(
    discovery: RouterDiscovery, source: IPv6Address, now: float, lifetime: int = 1800
) -> list[IPv6Address]:
    effects = discovery.receive(packet(ICMPv6ND_RA(routerlifetime=lifetime), source), now)
    return [effect.address for effect in effects if isinstance(effect, RouterFound)]


def sent(effects: tuple[Effect, ...]) -> list[tuple[type[ScapyPacket], str]]:
    kinds = {133: ICMPv6ND_RS, 134: ICMPv6ND_RA}
    return [(kinds[e.data[0]], str(e.destination)) for e in effects if isinstance(e, Transmit)]


ASKS, SAYS = (ICMPv6ND_RS, "ff02::2"), (ICMPv6ND_RA, "ff02::1")


@pytest.fixture
def discovery() -> RouterDiscovery:
    return RouterDiscovery(lambda: 0.4)


def test_what_we_say_draws_nobody_to_us() -> None:
    told = ICMPv6ND_RA(encode(Advertisement()))
    assert (told.type, told.code, told.routerlifetime, told.chlim) == (134, 0, 0, 0)
    assert (told.M, told.O, told.reachabletime, told.retranstimer) == (0, 0, 0, 0)
    asked = ICMPv6ND_RS(encode(Solicitation()))
    assert (asked.type, asked.code, len(encode(Solicitation()))) == (133, 0, 8)


def test_what_others_say() -> None:
    options = ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01") / ICMPv6NDOptMTU()
    assert decode(packet(ICMPv6ND_RA(routerlifetime=30) / options)) == Advertisement(30)
    assert decode(packet(ICMPv6ND_RS() / options, IPv6Address("::"))) == Solicitation()


@pytest.mark.parametrize(
    ("wrong", "says"),
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
def test_what_is_discarded(discovery: RouterDiscovery, wrong: Packet, says: str) -> None:
    with pytest.raises(RouterDiscoveryError, match=says):
        discovery.receive(wrong, 1.0)


@given(st.binary(max_size=64), st.integers(0, 255), st.ip_addresses(v=6))
def test_any_bytes_are_a_message_or_the_one_error(
    data: bytes, hop_limit: int, source: IPv6Address
) -> None:
    try:
        message = decode(Packet(data, source, hop_limit))
    except RouterDiscoveryError:
        return
    assert hop_limit == 255
    assert isinstance(message, Solicitation) or source.is_link_local


def test_it_is_eager_first_and_asks_until_somebody_is_there(discovery: RouterDiscovery) -> None:
    assert sent(discovery.start(100.0)) == [ASKS, SAYS]
    assert discovery.next_deadline() == 101.0
    assert discovery.handle_timeout(100.9) == ()
    assert sent(discovery.handle_timeout(101.0)) == [ASKS, SAYS]
    assert heard(discovery, ROUTER, 101.5) == [ROUTER]
    assert sent(discovery.handle_timeout(102.0)) == [SAYS]
    assert discovery.next_deadline() == 111.0  # 10 s, less 0.4 of a quarter


def test_an_answer_comes_soon_but_not_often(discovery: RouterDiscovery) -> None:
    discovery.start(100.0)
    discovery.handle_timeout(101.0)
    discovery.handle_timeout(102.0)
    for _ in range(3):
        assert discovery.receive(packet(ICMPv6ND_RS()), 102.5) == ()
        assert discovery.next_deadline() == 105.0
    discovery.handle_timeout(105.0)
    discovery.receive(packet(ICMPv6ND_RS()), 112.0)
    assert discovery.next_deadline() == 112.0


def test_a_router_is_found_once_and_replaced_by_another(discovery: RouterDiscovery) -> None:
    discovery.start(0.0)
    assert heard(discovery, ROUTER, 1.0) == [ROUTER]
    assert heard(discovery, ROUTER, 2.0) == []
    assert heard(discovery, OTHER, 3.9) == []
    assert heard(discovery, OTHER, 4.0) == [OTHER]


def test_another_speaker_on_the_link_takes_no_routers_place(discovery: RouterDiscovery) -> None:
    discovery.start(0.0)
    assert heard(discovery, OTHER, 1.0, lifetime=0) == [OTHER]
    assert heard(discovery, ROUTER, 10.0, lifetime=30) == [ROUTER]
    assert heard(discovery, OTHER, 39.0, lifetime=0) == []
    assert heard(discovery, OTHER, 40.0, lifetime=0) == [OTHER]


def test_a_link_that_was_away_is_a_new_one(discovery: RouterDiscovery) -> None:
    discovery.start(0.0)
    assert heard(discovery, ROUTER, 1.0) == [ROUTER]
    assert sent(discovery.start(2.0)) == [ASKS, SAYS]
    assert discovery.next_deadline() == 3.0
    assert heard(discovery, ROUTER, 2.5) == [ROUTER]
