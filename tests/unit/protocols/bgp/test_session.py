from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from support.bgp.messages import sent

from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.model.peers import Origin, SessionParameters
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.protocols.bgp.cease import ShutdownRequest
from metallb_py.protocols.bgp.codec.attributes import AsSegment, PathAttributes, SegmentKind
from metallb_py.protocols.bgp.codec.capabilities import FourOctetAsn, Multiprotocol
from metallb_py.protocols.bgp.codec.codes import Cease
from metallb_py.protocols.bgp.codec.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    Refresh,
    encode,
)
from metallb_py.protocols.bgp.codec.update import Reach, Update
from metallb_py.protocols.bgp.effects import (
    CloseTcp,
    Connect,
    ConnectFailed,
    Effect,
    NotificationReceived,
    Send,
    SessionDown,
    SessionUp,
    UpdateReceived,
    UpdatesSent,
)
from metallb_py.protocols.bgp.fsm import State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.session import Session

LOCAL = IPv4Address("10.0.0.1")
LOCAL_V6 = IPv6Address("fd00::1")
A = IPv4Network("192.0.2.1/32")
B = IPv4Network("192.0.2.2/32")
V6 = IPv6Network("2001:db8::1/128")
PLAIN = RouteAttributes()
PEER = Open(
    64513,
    90,
    IPv4Address("10.0.0.2"),
    (*map(Multiprotocol, AddressFamily), FourOctetAsn(64513)),
)
INTERNAL_PEER = replace(PEER, my_as=64512, capabilities=(FourOctetAsn(64512),))


def reported(effects: Iterable[Effect]) -> list[Effect]:
    """Return the effects that send no bytes."""
    return [effect for effect in effects if not isinstance(effect, Send)]


def receive(session: Session, *messages: Message, now: float = 0.0) -> tuple[Effect, ...]:
    return session.receive(b"".join(map(encode, messages)), now)


def open_sent(settings: Settings | None = None, local: IPAddress = LOCAL) -> Session:
    """Return a session in OpenSent."""
    session = Session(settings or Settings(SessionParameters(64512, 64513)))
    session.start(0.0)
    session.connected(LocalAddresses(local), LOCAL, 0.0)
    return session


def established(
    peer: Open = PEER, settings: Settings | None = None, local: IPAddress = LOCAL
) -> Session:
    session = open_sent(settings, local)
    receive(session, peer, Keepalive())
    assert session.state is State.ESTABLISHED
    return session


def advance(session: Session) -> tuple[float, tuple[Effect, ...]]:
    """Advance to the next deadline; return its time and the effects."""
    now = session.next_deadline()
    assert now is not None
    return now, session.handle_timeout(now)


# Establishment


def test_session_from_start_to_established() -> None:
    session = Session(Settings(SessionParameters(64512, 64513)))

    assert session.start(0.0) == (Connect(),)
    (ours,) = sent(session.connected(LocalAddresses(LOCAL), LOCAL, 1.0))
    assert isinstance(ours, Open)
    assert (ours.asn, ours.router_id, ours.hold_time) == (64512, LOCAL, 90)
    assert sent(receive(session, PEER)) == [Keepalive()]
    up, counts = receive(session, Keepalive())
    assert isinstance(up, SessionUp)
    assert (up.terms.local_asn, up.terms.peer_asn, up.terms.hold_time) == (64512, 64513, 90)
    assert counts == PrefixCounts(0, 0, 0)


def test_passive_session_waits_for_the_connection_of_the_peer() -> None:
    session = Session(Settings(SessionParameters(64512, 0, passive=True)))

    assert session.start(0.0) == ()
    assert session.next_deadline() is None
    assert len(sent(session.connected(LocalAddresses(LOCAL), LOCAL, 1.0))) == 1
    assert reported(receive(session, PEER, Keepalive()))[0] == SessionUp(
        established(settings=Settings(SessionParameters(64512, 0)))._agreed()
    )
    session.connection_failed("gone", 2.0)
    assert session.next_deadline() is None


def test_connect_and_open_exchange_have_ten_seconds_together() -> None:
    session = Session(Settings(SessionParameters(64512, 64513)))
    session.start(0.0)
    assert session.next_deadline() == 10.0
    session.connected(LocalAddresses(LOCAL), LOCAL, 9.0)

    now, effects = advance(session)

    assert now == 10.0
    assert sent(effects) == [Notification(4, 0)]
    assert reported(effects) == [CloseTcp(), ConnectFailed("no session within 10 s"), Connect()]


def test_connect_is_given_up_after_ten_seconds() -> None:
    session = Session(Settings(SessionParameters(64512, 64513)))
    session.start(0.0)

    now, effects = advance(session)

    assert now == 10.0
    assert effects == (CloseTcp(), ConnectFailed("no connection within 10 s"), Connect())


def test_setup_timer_ends_open_confirm_with_hold_time_zero() -> None:
    session = open_sent()
    receive(session, replace(PEER, hold_time=0))

    now, effects = advance(session)

    assert now == 10.0
    assert sent(effects) == [Notification(4, 0)]


def test_connect_retry_delays_are_those_of_metallb() -> None:
    session = Session(Settings(SessionParameters(64512, 64513)))
    session.start(0.0)
    now, delays = 0.0, []
    for _ in range(10):
        session.connection_failed("connection refused", now)
        due, effects = advance(session)
        assert effects == (Connect(),)
        delays.append(due - now)
        now = due

    assert delays == [0, 1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_rejected_open_is_a_failed_attempt_with_its_reason() -> None:
    session = open_sent(Settings(SessionParameters(64512, 64514)))
    effects = receive(session, PEER)

    assert sent(effects) == [Notification(2, 2)]
    assert reported(effects) == [CloseTcp(), ConnectFailed("unexpected peer ASN 64513, want 64514")]


def test_a_notification_instead_of_an_open_is_a_failed_attempt() -> None:
    effects = receive(open_sent(), Notification(6, 5))

    assert effects == (
        CloseTcp(),
        ConnectFailed("got BGP notification code 0x0605 (cease: connection rejected)"),
    )


@pytest.mark.parametrize("message", [Keepalive(), Update(), Refresh(1)])
def test_first_message_other_than_open_is_an_fsm_error(message: Message) -> None:
    session = open_sent()

    assert sent(receive(session, message)) == [Notification(5, 1)]


def test_second_open_is_an_fsm_error() -> None:
    assert sent(receive(established(), PEER)) == [Notification(5, 3)]
    assert sent(receive(open_sent(), PEER, PEER))[1:] == [Notification(5, 2)]


# Timers and liveness


def test_keepalives_are_sent_every_third_of_the_hold_time() -> None:
    session = established(replace(PEER, hold_time=9))

    for expected in (3.0, 6.0):
        now, effects = advance(session)
        assert now == expected
        assert sent(effects) == [Keepalive()]


def test_update_restarts_the_keepalive_timer() -> None:
    session = established()
    session.change_routes({A: PLAIN})
    session.flush(20.0)

    assert session.next_deadline() == 50.0


def test_hold_timer_expiry_sends_notification_4_and_reconnects() -> None:
    session = established(replace(PEER, hold_time=9))
    receive(session, Keepalive(), now=5.0)
    while (at := session.next_deadline()) is not None and at < 14.0:
        session.handle_timeout(at)

    now, effects = advance(session)

    assert now == 14.0
    assert sent(effects) == [Notification(4, 0)]
    assert reported(effects) == [
        CloseTcp(),
        SessionDown("hold timer expired: no message from peer"),
        PrefixCounts(0, 0, 0),
        Connect(),
    ]


@pytest.mark.parametrize("message", [Keepalive(), Update(withdrawn=(A,)), Refresh(1)])
def test_any_message_of_the_peer_restarts_the_hold_timer(message: Message) -> None:
    session = established(replace(PEER, hold_time=3))
    receive(session, message, now=2.0)
    effects = session.handle_timeout(4.9)

    assert session.state is State.ESTABLISHED
    assert sent(effects) == [Keepalive()]


def test_bfd_down_closes_the_session_and_retries_at_once() -> None:
    session = established()
    effects = session.bfd_down("silence", 20.0)

    assert sent(effects) == [Notification(6, 10)]
    assert SessionDown("BFD down: silence") in effects
    assert CloseTcp() in effects
    assert session.next_deadline() == 20.0


def test_bfd_down_without_a_session_does_nothing() -> None:
    session = Session(Settings(SessionParameters(64512, 64513)))
    session.start(0.0)

    assert session.bfd_down("silence", 1.0) == ()


def test_expire_connect_retry_makes_the_next_attempt_due_at_once() -> None:
    session = open_sent()
    for now in (1.0, 2.0):
        session.connection_failed("gone", now)
        session.handle_timeout(session.next_deadline() or now)
    session.connection_failed("gone", 3.0)
    assert (session.next_deadline() or 0.0) > 4.0
    session.expire_connect_retry(4.0)
    assert session.next_deadline() == 4.0
    assert session.handle_timeout(4.0) == (Connect(),)

    setup = session.next_deadline()
    session.expire_connect_retry(5.0)
    assert session.next_deadline() == setup


def test_hold_time_zero_leaves_no_deadline() -> None:
    assert established(replace(PEER, hold_time=0)).next_deadline() is None


# Routes


def flushed(session: Session) -> list[Update]:
    updates = []
    while session.has_pending:
        updates += [m for m in sent(session.flush(1.0)) if isinstance(m, Update)]
    return updates


def test_external_peer_gets_our_as_and_no_local_pref() -> None:
    session = established()
    session.change_routes({A: RouteAttributes(100, frozenset({Community(1), Community(2)}))})

    assert flushed(session) == [
        Update(
            reach=(Reach(LOCAL, (A,)),),
            attributes=PathAttributes(
                Origin.INCOMPLETE,
                (AsSegment(SegmentKind.SEQUENCE, (64512,)),),
                communities=(1, 2),
            ),
        )
    ]


def test_internal_peer_gets_an_empty_as_path_and_local_pref_even_zero() -> None:
    session = established(INTERNAL_PEER, Settings(SessionParameters(64512, 64512)))
    session.change_routes({A: PLAIN})

    assert flushed(session) == [
        Update(
            reach=(Reach(LOCAL, (A,)),),
            attributes=PathAttributes(Origin.INCOMPLETE, (), local_pref=0),
        )
    ]


def test_peer_without_four_octet_asn_gets_a_two_octet_as_path() -> None:
    session = established(replace(PEER, capabilities=()))
    session.change_routes({A: PLAIN})
    (update,) = sent(session.flush(1.0), four_octet=False)

    assert isinstance(update, Update)
    assert update.attributes is not None
    assert update.attributes.as_path == (AsSegment(SegmentKind.SEQUENCE, (64512,)),)


def test_changes_are_sent_once_and_in_their_last_state() -> None:
    session = established()
    session.change_routes({A: PLAIN})
    session.change_routes({B: PLAIN}, [A])
    effects = session.flush(1.0)

    assert [u.reach for u in sent(effects) if isinstance(u, Update)] == [(Reach(LOCAL, (B,)),)]
    assert reported(effects) == [UpdatesSent(1), PrefixCounts(1, 1, 0)]
    assert not session.has_pending
    assert session.flush(2.0) == ()


def test_announcements_are_sent_before_withdrawals() -> None:
    session = established()
    session.change_routes({A: PLAIN})
    session.flush(1.0)
    session.change_routes({B: PLAIN}, [A])
    effects = session.flush(2.0)

    announcement, withdrawal = sent(effects)
    assert isinstance(announcement, Update)
    assert announcement.reach == (Reach(LOCAL, (B,)),)
    assert withdrawal == Update(withdrawn=(A,))
    assert UpdatesSent(2) in effects


def test_the_full_set_is_sent_again_after_a_reconnect() -> None:
    session = established()
    session.change_routes({A: PLAIN, B: PLAIN})
    session.flush(1.0)
    session.connection_failed("connection reset by peer", 20.0)
    advance(session)
    session.connected(LocalAddresses(LOCAL), LOCAL, 20.0)
    session.change_routes({}, [B])
    assert not session.has_pending
    receive(session, PEER, Keepalive(), now=20.0)

    (update,) = flushed(session)
    assert update.reach == (Reach(LOCAL, (A,)),)


def test_a_flush_is_bounded() -> None:
    session = established()
    many = {IPv4Network(((10 << 24) + number, 32)): PLAIN for number in range(10_000)}
    session.change_routes(many)
    first = session.flush(1.0)

    assert sum(len(effect.data) for effect in first if isinstance(effect, Send)) < 32_768
    assert session.has_pending
    assert sum(len(u.reach[0].prefixes) for u in flushed(session)) + 4096 == 10_000


@pytest.mark.parametrize(
    ("local", "carried"), [(LOCAL, {A: PLAIN}), (LOCAL_V6, {V6: PLAIN})], ids=["ipv4", "ipv6"]
)
def test_a_session_carries_the_family_that_it_runs_over(
    local: IPAddress, carried: dict[IPv4Network | IPv6Network, RouteAttributes]
) -> None:
    session = established(local=local)
    counts = session.change_routes({A: PLAIN, V6: PLAIN})

    assert counts == (PrefixCounts(0, 2, 1),)
    assert [u.reach for u in flushed(session)] == [(Reach(local, tuple(carried)),)]


def test_family_that_was_not_negotiated_is_not_sent() -> None:
    session = established(replace(PEER, capabilities=()), local=LOCAL_V6)
    session.change_routes({A: PLAIN, V6: PLAIN})

    assert not session.has_pending


def test_route_refresh_resends_all_routes() -> None:
    session = established()
    session.change_routes({A: PLAIN})
    first = flushed(session)
    receive(session, Refresh(1))

    assert flushed(session) == first


def test_received_update_is_reported_and_has_no_effect() -> None:
    session = established()
    theirs = Update(
        reach=(Reach(IPv4Address("10.0.0.2"), (A,)),), attributes=PathAttributes(Origin.IGP)
    )

    assert receive(session, theirs) == (UpdateReceived(theirs),)


# Closing


def test_a_notification_ends_the_session_and_is_not_answered() -> None:
    session = established()
    text = "got BGP notification code 0x0604 (cease: administrative reset)"

    assert receive(session, Notification(6, 4), Keepalive(), now=30.0) == (
        NotificationReceived(text),
        CloseTcp(),
        SessionDown(text),
        PrefixCounts(0, 0, 0),
    )
    assert session.next_deadline() == 30.0


def test_short_lived_session_counts_as_a_failed_attempt() -> None:
    session = established()
    delays = []
    now = 0.0
    for _ in range(4):
        receive(session, Notification(6, 1), now=now + 5.0)
        due, _ = advance(session)
        delays.append(due - (now + 5.0))
        now = due
        session.connected(LocalAddresses(LOCAL), LOCAL, now)
        receive(session, PEER, Keepalive(), now=now)

    assert delays == [0, 1, 2, 4]


def test_long_lived_session_reconnects_at_once() -> None:
    session = Session(Settings(SessionParameters(64512, 64513)))
    session.start(0.0)
    for _ in range(5):
        session.connection_failed("connection refused", 0.0)
        advance(session)
    session.connected(LocalAddresses(LOCAL), LOCAL, 100.0)
    receive(session, PEER, Keepalive(), now=100.0)
    session.connection_failed("connection reset by peer", 111.0)

    assert session.next_deadline() == 111.0


def test_malformed_header_sends_notification_1_and_ends_the_session() -> None:
    session = established()
    effects = session.receive(b"\0" * 19, 20.0)

    assert sent(effects) == [Notification(1, 1)]
    assert SessionDown("message marker is not all ones") in effects
    assert session.receive(encode(Keepalive()), 20.0) == ()


def test_partial_message_is_dropped_with_its_connection() -> None:
    session = established()
    session.receive(encode(Keepalive())[:10], 20.0)
    session.connection_failed("connection reset by peer", 20.0)
    advance(session)
    session.connected(LocalAddresses(LOCAL), LOCAL, 20.0)

    receive(session, PEER, Keepalive(), now=20.0)
    assert session.state is State.ESTABLISHED


@pytest.mark.parametrize("subcode", [Cease.ADMINISTRATIVE_SHUTDOWN, Cease.PEER_DECONFIGURED])
def test_stop_sends_cease_and_does_not_reconnect(subcode: Cease) -> None:
    session = established()
    effects = session.stop(1.0, ShutdownRequest(subcode))

    assert sent(effects) == [Notification(6, subcode)]
    assert reported(effects) == [CloseTcp()]
    assert session.next_deadline() is None


def test_stop_without_a_connection_sends_nothing() -> None:
    connecting = Session(Settings(SessionParameters(64512, 64513)))
    connecting.start(0.0)
    waiting = Session(Settings(SessionParameters(64512, 64513)))
    waiting.start(0.0)
    waiting.connection_failed("connection refused", 0.0)

    assert connecting.stop(1.0) == (CloseTcp(),)
    assert waiting.stop(1.0) == ()
    assert (connecting.next_deadline(), waiting.next_deadline()) == (None, None)


def test_send_hold_timer_expiry_sends_notification_8() -> None:
    session = established()
    session.set_send_blocked(20.0, is_blocked=True)
    session.set_send_blocked(30.0, is_blocked=True)  # still blocked
    for now in range(40, 500, 20):  # the peer still sends KEEPALIVEs
        receive(session, Keepalive(), now=float(now))
        session.handle_timeout(float(now))
    effects = session.handle_timeout(500.0)

    assert sent(effects)[-1] == Notification(8, 0)
    assert SessionDown("send hold timer expired: peer accepts no data") in effects


def test_send_hold_timer_stops_once_the_peer_reads_again() -> None:
    session = established()
    session.set_send_blocked(20.0, is_blocked=True)
    session.set_send_blocked(30.0, is_blocked=False)
    for now in range(40, 600, 20):
        receive(session, Keepalive(), now=float(now))
        assert SessionDown(
            "send hold timer expired: peer accepts no data"
        ) not in session.handle_timeout(float(now))
    assert session.state is State.ESTABLISHED


def test_unsupported_capability_notification_omits_capabilities_next() -> None:
    session = Session(Settings(SessionParameters(64512, 64513)))
    session.start(0.0)
    (full,) = sent(session.connected(LocalAddresses(LOCAL), LOCAL, 0.0))
    assert isinstance(full, Open)
    assert full.capabilities
    session.receive(encode(Notification(2, 7)), 0.0)
    session.handle_timeout(0.0)

    (without,) = sent(session.connected(LocalAddresses(LOCAL), LOCAL, 0.0))
    assert isinstance(without, Open)
    assert without.capabilities == ()
    receive(session, Open(64513, 90, IPv4Address("10.0.0.2")), Keepalive())
    assert session.state is State.ESTABLISHED
