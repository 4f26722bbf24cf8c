from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from metallb_py.addresses import AddressFamily
from metallb_py.model.peers import DynamicAsn, SessionParameters
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
from metallb_py.protocols.bgp.codec.codes import BgpError
from metallb_py.protocols.bgp.codec.messages import Open, encode
from metallb_py.protocols.bgp.negotiation import (
    NegotiatedSession,
    Settings,
    describe,
    negotiate,
    our_open,
)

OURS = IPv4Address("10.0.0.1")
THEIRS = IPv4Address("10.0.0.2")
SETTINGS = Settings(SessionParameters(local_asn=64512, peer_asn=64513))
RESTARTS = SessionParameters(64512, 64513, graceful_restart=True)
OPEN = Open(64513, 90, THEIRS, (FourOctetAsn(64513),))


ANY_OURS = SessionParameters(64512, 0, dynamic_asn=DynamicAsn.INTERNAL)
ANY_BUT_64513 = SessionParameters(64513, 0, dynamic_asn=DynamicAsn.EXTERNAL)


def agreed(settings: Settings, theirs: Open) -> NegotiatedSession:
    """Return the session negotiated when every capability is offered."""
    return negotiate(settings.parameters, our_open(settings, OURS, ipv4_over_ipv6=True), theirs)


def test_open_starts_with_the_capabilities_of_metallb() -> None:
    wire = encode(our_open(SETTINGS, OURS))

    assert (
        wire[19:].hex()
        == bytes.fromhex(
            "04 fc00 005a 0a000001 1a 02 18010400010001 010400020001 0200 41040000fc00 4600 0600"
        ).hex()
    )


def test_open_offers_the_configured_capabilities() -> None:
    ipv6 = replace(RESTARTS, address_families=frozenset({AddressFamily.IPV6}))
    settings = Settings(ipv6, hostname="node")

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
def test_open_that_omits_capabilities_keeps_only_four_octet_asn(
    asn: int, capabilities: tuple[Capability, ...]
) -> None:
    settings = Settings(replace(RESTARTS, local_asn=asn), hostname="node")
    ours = our_open(settings, OURS, ipv4_over_ipv6=True, omit_capabilities=True)
    router = SessionParameters(64513, 0, graceful_restart=True)
    theirs = our_open(Settings(router), THEIRS, ipv4_over_ipv6=True)
    terms = negotiate(settings.parameters, ours, theirs)

    assert ours.capabilities == capabilities
    assert describe(terms) == "IPv4 unicast, hold time 90 s" + ", 4-byte ASNs" * bool(capabilities)
    assert terms.restart_time is None


def test_capabilities_that_both_offer_are_negotiated() -> None:
    settings = Settings(RESTARTS, hostname="node")
    router = SessionParameters(64513, 64512, graceful_restart=True)
    restarting = our_open(
        Settings(router, restart_time=60, hostname="tor\n1"),
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
        'peer host name "tor?1"'
    )


@pytest.mark.parametrize(
    ("capability", "description"),
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
def test_each_negotiated_capability_is_described(capability: Capability, description: str) -> None:
    terms = agreed(Settings(RESTARTS), replace(OPEN, capabilities=(capability,)))

    assert describe(terms) == f"IPv4 unicast, hold time 90 s{description}"


def test_capability_that_was_not_offered_is_not_negotiated() -> None:
    ipv4 = frozenset({AddressFamily.IPV4})
    settings = Settings(SessionParameters(64512, 64513, hold_time=0, address_families=ipv4))
    router = SessionParameters(64513, 64512, graceful_restart=True)
    everything = our_open(Settings(router, restart_time=9), THEIRS, ipv4_over_ipv6=True)
    terms = negotiate(settings.parameters, our_open(settings, OURS), everything)

    assert terms.families == {AddressFamily.IPV4}
    assert not terms.extended_next_hop
    assert (terms.restart_time, terms.peer_restart) == (None, None)
    assert describe(terms).startswith("IPv4 unicast, no hold time, 4-byte ASNs")


def test_no_family_in_common_is_described() -> None:
    ipv6 = frozenset({AddressFamily.IPV6})
    settings = Settings(SessionParameters(64512, 64513, address_families=ipv6))

    assert describe(agreed(settings, OPEN)).startswith("no family in common, ")


def test_last_of_several_graceful_restart_capabilities_is_used() -> None:
    several = (GracefulRestart(1), GracefulRestart(2))
    terms = agreed(Settings(RESTARTS, restart_time=9), replace(OPEN, capabilities=several))

    assert terms.peer_restart == GracefulRestart(2)


def test_asn_above_65535_is_sent_as_as_trans() -> None:
    ours = our_open(Settings(SessionParameters(65536, 0)), OURS)

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
def test_negotiated_hold_time_is_the_shorter_one(
    ours: tuple[int, int | None], theirs: int, hold: int, keepalive: float
) -> None:
    hold_time, keepalive_time = ours
    parameters = SessionParameters(64512, 64513, hold_time=hold_time, keepalive_time=keepalive_time)
    terms = agreed(Settings(parameters), replace(OPEN, hold_time=theirs))

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
def test_negotiated_families_are_those_that_the_peer_offers(
    capabilities: tuple[Capability, ...], families: set[AddressFamily]
) -> None:
    terms = agreed(SETTINGS, replace(OPEN, capabilities=capabilities))

    assert terms.families == families
    assert not terms.four_octet


def test_session_within_one_as_is_internal() -> None:
    same = agreed(Settings(SessionParameters(64513, 64513)), OPEN)

    assert same.internal
    assert not agreed(SETTINGS, OPEN).internal


def test_peer_of_any_asn_is_accepted_where_none_is_configured() -> None:
    assert agreed(Settings(SessionParameters(64512, 0)), OPEN).peer_asn == 64513


@pytest.mark.parametrize(
    ("settings", "theirs", "subcode", "problem"),
    [
        (
            Settings(SessionParameters(64512, 64514)),
            OPEN,
            2,
            "unexpected peer ASN 64513, want 64514",
        ),
        (
            Settings(SessionParameters(64512, 0)),
            replace(OPEN, my_as=0, capabilities=()),
            2,
            "peer ASN 0",
        ),
        (
            Settings(SessionParameters(64512, 0)),
            replace(OPEN, capabilities=(FourOctetAsn(0),)),
            2,
            "peer ASN 0",
        ),
        (Settings(ANY_OURS), OPEN, 2, "64513, want 64512, ours"),
        (
            Settings(ANY_BUT_64513),
            OPEN,
            2,
            "64513, want another than ours, 64513",
        ),
        (
            Settings(ANY_BUT_64513),
            replace(OPEN, my_as=0, capabilities=()),
            2,
            "ASN 0, want another",
        ),
        (SETTINGS, replace(OPEN, router_id=IPv4Address(0)), 3, "0.0.0.0 is not valid"),
        (
            Settings(SessionParameters(64513, 64513)),
            replace(OPEN, router_id=OURS),
            3,
            "10.0.0.1 is the same as ours",
        ),
        (SETTINGS, replace(OPEN, hold_time=1), 6, "hold time of 1 s"),
        (SETTINGS, replace(OPEN, hold_time=2), 6, "hold time of 2 s"),
        (
            Settings(SessionParameters(65536, 64513)),
            replace(OPEN, capabilities=()),
            7,
            "peer does not support 4-byte ASNs",
        ),
    ],
)
def test_unacceptable_open_raises_the_open_error_of_rfc_4271(
    settings: Settings, theirs: Open, subcode: int, problem: str
) -> None:
    with pytest.raises(BgpError, match=problem) as caught:
        agreed(settings, theirs)

    assert (caught.value.code, caught.value.subcode) == (2, subcode)


@pytest.mark.parametrize(
    ("local_asn", "dynamic"), [(64513, DynamicAsn.INTERNAL), (64512, DynamicAsn.EXTERNAL)]
)
def test_a_dynamic_peer_has_our_asn_or_another(local_asn: int, dynamic: DynamicAsn) -> None:
    terms = agreed(Settings(SessionParameters(local_asn, 0, dynamic_asn=dynamic)), OPEN)

    assert terms.peer_asn == 64513
    assert terms.internal is (dynamic is DynamicAsn.INTERNAL)


def test_external_peer_may_have_an_equal_router_id() -> None:
    assert agreed(SETTINGS, replace(OPEN, router_id=OURS)).peer_router_id == OURS
