from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from metallb_py.protocols.bgp.codec.capabilities import (
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAsn,
    GracefulRestart,
    Hostname,
    Multiprotocol,
    NextHopEncoding,
    OtherCapability,
    RestartFamily,
    RouteRefresh,
)
from metallb_py.protocols.bgp.codec.codes import AddressFamily, BgpError
from metallb_py.protocols.bgp.codec.messages import Open, encode
from metallb_py.protocols.bgp.negotiation import (
    Dynamic,
    Settings,
    Terms,
    describe,
    negotiate,
    our_open,
)

OURS = IPv4Address("10.0.0.1")
THEIRS = IPv4Address("10.0.0.2")
SETTINGS = Settings(local_asn=64512, peer_asn=64513)
OPEN = Open(64513, 90, THEIRS, (FourOctetAsn(64513),))


def agreed(settings: Settings, theirs: Open) -> Terms:
    """The terms of a session on which we offer all that we have."""
    return negotiate(settings, our_open(settings, OURS, ipv4_over_ipv6=True), theirs)


def test_our_open_is_metallbs_and_more_behind_it() -> None:
    wire = encode(our_open(SETTINGS, OURS))

    assert (
        wire[19:].hex()
        == bytes.fromhex(
            "04 fc00 005a 0a000001 1a 02 18010400010001 010400020001 0200 41040000fc00 4600 0600"
        ).hex()
    )


def test_our_open_offers_what_is_set() -> None:
    settings = Settings(
        64512,
        64513,
        families=frozenset({AddressFamily.IPV6}),
        restart_time=120,
        hostname="node",
    )

    assert our_open(settings, OURS, restarting=True, forwarding=True).capabilities == (
        Multiprotocol(AddressFamily.IPV6),
        RouteRefresh(),
        FourOctetAsn(64512),
        EnhancedRouteRefresh(),
        ExtendedMessage(),
        Hostname("node"),
        GracefulRestart(120, True, True, (RestartFamily(2, 1, True),)),
    )


@pytest.mark.parametrize(("asn", "capabilities"), [(64512, ()), (65536, (FourOctetAsn(65536),))])
def test_a_bare_open_says_no_more_than_it_must(
    asn: int, capabilities: tuple[Capability, ...]
) -> None:
    settings = Settings(asn, 64513, restart_time=120, hostname="node")
    bare = our_open(settings, OURS, ipv4_over_ipv6=True, bare=True)
    theirs = our_open(Settings(64513, None, restart_time=120), THEIRS, ipv4_over_ipv6=True)
    terms = negotiate(settings, bare, theirs)

    assert bare.capabilities == capabilities
    assert describe(terms) == "IPv4 unicast, hold time 90 s" + ", 4-byte ASNs" * bool(capabilities)
    assert terms.restart_time is None


def test_everything_is_agreed_that_both_offer() -> None:
    settings = Settings(64512, 64513, restart_time=120, hostname="node")
    restarting = our_open(
        Settings(64513, 64512, restart_time=60, hostname="tor\n1"),
        THEIRS,
        restarting=True,
        ipv4_over_ipv6=True,
    )
    terms = agreed(settings, restarting)

    assert terms.max_length == 65535
    assert terms.extended_next_hop
    assert terms.enhanced_refresh
    assert (terms.restart_time, terms.routes_survive_notifications) == (120, True)
    assert terms.peer_restart is not None
    assert terms.peer_restart.time == 60
    assert terms.peer_hostname == "tor\n1"
    assert describe(terms) == (
        "IPv4 and IPv6 unicast, hold time 90 s, 4-byte ASNs, enhanced route refresh, "
        "IPv4 with IPv6 next hops, messages of up to 65535 bytes, "
        "graceful restart 120 s, NOTIFICATIONs included, peer has restarted, "
        'peer calls itself "tor?1"'
    )


@pytest.mark.parametrize(
    ("capability", "words"),
    [
        (EnhancedRouteRefresh(), ""),
        (ExtendedMessage(), ", messages of up to 65535 bytes"),
        (ExtendedNextHop(), ", IPv4 with IPv6 next hops"),
        (ExtendedNextHop((NextHopEncoding(1, 128, 2),)), ""),
        (RouteRefresh(), ", route refresh"),
        (GracefulRestart(0), ", graceful restart 120 s"),
        (
            GracefulRestart(0, notifications=True),
            ", graceful restart 120 s, NOTIFICATIONs included",
        ),
        (Multiprotocol(AddressFamily.IPV4), ""),
    ],
)
def test_each_term_alone_in_words(capability: Capability, words: str) -> None:
    settings = Settings(64512, 64513, restart_time=120)
    terms = agreed(settings, replace(OPEN, capabilities=(capability,)))

    assert describe(terms) == f"IPv4 unicast, hold time 90 s{words}"


def test_what_we_do_not_offer_is_not_agreed() -> None:
    settings = Settings(64512, 64513, 0, families=frozenset({AddressFamily.IPV4}))
    everything = our_open(Settings(64513, 64512, restart_time=9), THEIRS, ipv4_over_ipv6=True)
    terms = negotiate(settings, our_open(settings, OURS), everything)

    assert terms.families == {AddressFamily.IPV4}
    assert not terms.extended_next_hop
    assert (terms.restart_time, terms.peer_restart) == (None, None)
    assert describe(terms).startswith("IPv4 unicast, no hold time, 4-byte ASNs")


def test_families_may_have_nothing_in_common() -> None:
    settings = Settings(64512, 64513, families=frozenset({AddressFamily.IPV6}))

    assert describe(agreed(settings, OPEN)).startswith("no family in common, ")


def test_of_several_graceful_restarts_the_last_counts() -> None:
    several = (GracefulRestart(1), GracefulRestart(2))
    terms = agreed(Settings(64512, 64513, restart_time=9), replace(OPEN, capabilities=several))

    assert terms.peer_restart == GracefulRestart(2)


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
    terms = agreed(Settings(64512, 64513, *ours), replace(OPEN, hold_time=theirs))

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
    terms = agreed(SETTINGS, replace(OPEN, capabilities=capabilities))

    assert terms.families == families
    assert not terms.four_octet


def test_internal_is_one_as() -> None:
    same = agreed(Settings(64513, 64513), OPEN)

    assert same.internal
    assert not agreed(SETTINGS, OPEN).internal


def test_a_peer_of_any_as_may_come_where_none_is_named() -> None:
    assert agreed(Settings(64512, None), OPEN).peer_asn == 64513


@pytest.mark.parametrize(
    ("settings", "theirs", "subcode", "words"),
    [
        (Settings(64512, 64514), OPEN, 2, "unexpected peer ASN 64513, want 64514"),
        (Settings(64512, None), replace(OPEN, my_as=0, capabilities=()), 2, "peer ASN 0"),
        (Settings(64512, None), replace(OPEN, capabilities=(FourOctetAsn(0),)), 2, "peer ASN 0"),
        (Settings(64512, None, dynamic=Dynamic.INTERNAL), OPEN, 2, "64513, want 64512, ours"),
        (
            Settings(64513, None, dynamic=Dynamic.EXTERNAL),
            OPEN,
            2,
            "64513, want another than ours, 64513",
        ),
        (
            Settings(64513, None, dynamic=Dynamic.EXTERNAL),
            replace(OPEN, my_as=0, capabilities=()),
            2,
            "ASN 0, want another",
        ),
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
        agreed(settings, theirs)

    assert (caught.value.code, caught.value.subcode) == (2, subcode)


@pytest.mark.parametrize(
    ("local_asn", "dynamic"), [(64513, Dynamic.INTERNAL), (64512, Dynamic.EXTERNAL)]
)
def test_a_dynamic_peer_has_our_asn_or_another(local_asn: int, dynamic: Dynamic) -> None:
    terms = agreed(Settings(local_asn, None, dynamic=dynamic), OPEN)

    assert terms.peer_asn == 64513
    assert terms.internal is (dynamic is Dynamic.INTERNAL)


def test_between_different_ases_router_ids_may_be_equal() -> None:
    assert agreed(SETTINGS, replace(OPEN, router_id=OURS)).peer_router_id == OURS
