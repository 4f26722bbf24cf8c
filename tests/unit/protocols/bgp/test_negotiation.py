from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from metallb_py.protocols.bgp.capabilities import (
    Capability,
    FourOctetAsn,
    Multiprotocol,
    OtherCapability,
)
from metallb_py.protocols.bgp.codes import AddressFamily, BgpError
from metallb_py.protocols.bgp.messages import Open, encode
from metallb_py.protocols.bgp.negotiation import Settings, negotiate, our_open

OURS = IPv4Address("10.0.0.1")
THEIRS = IPv4Address("10.0.0.2")
SETTINGS = Settings(local_asn=64512, peer_asn=64513)
OPEN = Open(64513, 90, THEIRS, (FourOctetAsn(64513),))


def test_our_open_is_metallbs_and_route_refresh() -> None:
    wire = encode(our_open(SETTINGS, OURS))

    assert (
        wire[19:].hex()
        == bytes.fromhex(
            "04 fc00 005a 0a000001 16 02 14 010400010001 010400020001 0200 41040000fc00"
        ).hex()
    )


def test_an_as_number_above_65535_hides_behind_as_trans() -> None:
    ours = our_open(Settings(65536, None), OURS)

    assert (ours.my_as, ours.asn) == (23456, 65536)


@pytest.mark.parametrize(
    ("ours", "theirs", "hold", "keepalive"),
    [
        ((90, None), 180, 90, 30.0),
        ((90, None), 9, 9, 3.0),
        ((90, 10), 90, 90, 10.0),
        ((90, 10), 9, 9, 3.0),
        ((90, 0), 90, 90, 30.0),
        ((0, None), 90, 0, 0.0),
        ((90, None), 0, 0, 0.0),
    ],
)
def test_the_shorter_hold_time_counts(
    ours: tuple[int, int | None], theirs: int, hold: int, keepalive: float
) -> None:
    terms = negotiate(Settings(64512, 64513, *ours), OURS, replace(OPEN, hold_time=theirs))

    assert (terms.hold_time, terms.keepalive_time) == (hold, keepalive)


@pytest.mark.parametrize(
    ("capabilities", "families"),
    [
        ((), {AddressFamily.IPV4}),
        ((OtherCapability(70, b""),), {AddressFamily.IPV4}),
        ((Multiprotocol(AddressFamily.IPV6),), {AddressFamily.IPV6}),
        (tuple(map(Multiprotocol, AddressFamily)), set(AddressFamily)),
    ],
)
def test_the_families_are_those_that_the_peer_offers(
    capabilities: tuple[Capability, ...], families: set[AddressFamily]
) -> None:
    terms = negotiate(SETTINGS, OURS, replace(OPEN, capabilities=capabilities))

    assert terms.families == families
    assert not terms.four_octet


def test_internal_is_one_as() -> None:
    same = negotiate(Settings(64513, 64513), OURS, OPEN)

    assert same.internal
    assert not negotiate(SETTINGS, OURS, OPEN).internal


def test_a_peer_of_any_as_may_come_where_none_is_named() -> None:
    assert negotiate(Settings(64512, None), OURS, OPEN).peer_asn == 64513


@pytest.mark.parametrize(
    ("settings", "theirs", "subcode", "words"),
    [
        (Settings(64512, 64514), OPEN, 2, "unexpected peer ASN 64513, want 64514"),
        (Settings(64512, None), replace(OPEN, my_as=0, capabilities=()), 2, "peer ASN 0"),
        (SETTINGS, replace(OPEN, router_id=IPv4Address(0)), 3, "0.0.0.0 is not valid"),
        (Settings(64513, 64513), replace(OPEN, router_id=OURS), 3, "10.0.0.1 is ours too"),
        (SETTINGS, replace(OPEN, hold_time=1), 6, "hold time of 1 s"),
        (SETTINGS, replace(OPEN, hold_time=2), 6, "hold time of 2 s"),
        (
            Settings(65536, 64513),
            replace(OPEN, capabilities=()),
            7,
            "peer does not support 4-byte ASNs",
        ),
    ],
)
def test_unacceptable_peers_are_told_as_rfc_4271_wants(
    settings: Settings, theirs: Open, subcode: int, words: str
) -> None:
    with pytest.raises(BgpError, match=words) as caught:
        negotiate(settings, OURS, theirs)

    assert (caught.value.code, caught.value.subcode) == (2, subcode)


def test_between_different_ases_router_ids_may_be_equal() -> None:
    assert negotiate(SETTINGS, OURS, replace(OPEN, router_id=OURS)).peer_router_id == OURS
