from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from support.bgp_messages import messages

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bgp.cease import Farewell
from metallb_py.protocols.bgp.codec.attributes import AsSegment, Origin, PathAttributes, SegmentKind
from metallb_py.protocols.bgp.codec.capabilities import FourOctetAsn, Multiprotocol
from metallb_py.protocols.bgp.codec.codes import AddressFamily, Cease
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
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts, RouteAttributes
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses
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


def sent(effects: Iterable[Effect], *, four_octet: bool = True) -> list[Message]:
    """Return the messages in what is to be sent."""
    data = b"".join(effect.data for effect in effects if isinstance(effect, Send))
    return messages(data, four_octet=four_octet)


def told(effects: Iterable[Effect]) -> list[Effect]:
    """Return everything but bytes."""
    return [effect for effect in effects if not isinstance(effect, Send)]


def hear(session: Session, *messages: Message, now: float = 0.0) -> tuple[Effect, ...]:
    return session.receive(b"".join(map(encode, messages)), now)


def begun(settings: Settings | None = None, local: IPAddress = LOCAL) -> Session:
    """A session whose connection stands, and which has sent its OPEN."""
    session = Session(settings or Settings(64512, 64513))
    session.start(0.0)
    session.connected(LocalAddresses(local), LOCAL, 0.0)
    return session


def established(
    peer: Open = PEER, settings: Settings | None = None, local: IPAddress = LOCAL
) -> Session:
    session = begun(settings, local)
    hear(session, peer, Keepalive())
    assert session.state is State.ESTABLISHED
    return session


def fire(session: Session) -> tuple[float, tuple[Effect, ...]]:
    """Let time pass until the next deadline."""
    now = session.next_deadline()
    assert now is not None
    return now, session.handle_timeout(now)


# Coming up


def test_from_start_to_established() -> None:
    session = Session(Settings(64512, 64513))

    assert session.start(0.0) == (Connect(),)
    (ours,) = sent(session.connected(LocalAddresses(LOCAL), LOCAL, 1.0))
    assert isinstance(ours, Open)
    assert (ours.asn, ours.router_id, ours.hold_time) == (64512, LOCAL, 90)
    assert sent(hear(session, PEER)) == [Keepalive()]
    up, counts = hear(session, Keepalive())
    assert isinstance(up, SessionUp)
    assert (up.terms.local_asn, up.terms.peer_asn, up.terms.hold_time) == (64512, 64513, 90)
    assert counts == PrefixCounts(0, 0, 0)


def test_a_passive_session_lets_the_peer_come() -> None:
    session = Session(Settings(64512, None), passive=True)

    assert session.start(0.0) == ()
    assert session.next_deadline() is None
    assert len(sent(session.connected(LocalAddresses(LOCAL), LOCAL, 1.0))) == 1
    assert told(hear(session, PEER, Keepalive()))[0] == SessionUp(
        established(settings=Settings(64512, None))._agreed()
    )
    session.connection_failed("gone", 2.0)
    assert session.next_deadline() is None


def test_connect_and_opens_together_have_ten_seconds() -> None:
    session = Session(Settings(64512, 64513))
    session.start(0.0)
    assert session.next_deadline() == 10.0
    session.connected(LocalAddresses(LOCAL), LOCAL, 9.0)

    now, effects = fire(session)

    assert now == 10.0
    assert sent(effects) == [Notification(4, 0)]
    assert told(effects) == [CloseTcp(), ConnectFailed("no session within 10 s"), Connect()]


def test_a_connection_that_does_not_come_is_given_up() -> None:
    session = Session(Settings(64512, 64513))
    session.start(0.0)

    now, effects = fire(session)

    assert now == 10.0
    assert effects == (CloseTcp(), ConnectFailed("no connection within 10 s"), Connect())


def test_a_peer_without_hold_time_has_ten_seconds_for_its_keepalive_too() -> None:
    session = begun()
    hear(session, replace(PEER, hold_time=0))

    now, effects = fire(session)

    assert now == 10.0
    assert sent(effects) == [Notification(4, 0)]


def test_failures_are_retried_with_the_delays_of_metallb() -> None:
    session = Session(Settings(64512, 64513))
    session.start(0.0)
    now, delays = 0.0, []
    for _ in range(10):
        session.connection_failed("connection refused", now)
        due, effects = fire(session)
        assert effects == (Connect(),)
        delays.append(due - now)
        now = due

    assert delays == [0, 1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_a_refused_open_is_a_failed_attempt_that_says_why() -> None:
    session = begun(Settings(64512, 64514))
    effects = hear(session, PEER)

    assert sent(effects) == [Notification(2, 2)]
    assert told(effects) == [CloseTcp(), ConnectFailed("unexpected peer ASN 64513, want 64514")]


def test_a_notification_instead_of_an_open_is_a_failed_attempt() -> None:
    effects = hear(begun(), Notification(6, 5))

    assert effects == (
        CloseTcp(),
        ConnectFailed("got BGP notification code 0x0605 (cease: connection rejected)"),
    )


@pytest.mark.parametrize("message", [Keepalive(), Update(), Refresh(1)])
def test_anything_but_an_open_first_is_refused(message: Message) -> None:
    session = begun()

    assert sent(hear(session, message)) == [Notification(5, 1)]


def test_a_second_open_is_refused() -> None:
    assert sent(hear(established(), PEER)) == [Notification(5, 3)]
    assert sent(hear(begun(), PEER, PEER))[1:] == [Notification(5, 2)]


# Staying up


def test_keepalives_go_out_every_third_of_the_hold_time() -> None:
    session = established(replace(PEER, hold_time=9))

    for expected in (3.0, 6.0):
        now, effects = fire(session)
        assert now == expected
        assert sent(effects) == [Keepalive()]


def test_an_update_counts_as_keepalive() -> None:
    session = established()
    session.change_routes({A: PLAIN})
    session.flush(20.0)

    assert session.next_deadline() == 50.0


def test_a_silent_peer_is_told_so_and_dialled_again() -> None:
    session = established(replace(PEER, hold_time=9))
    hear(session, Keepalive(), now=5.0)
    while (at := session.next_deadline()) is not None and at < 14.0:
        session.handle_timeout(at)

    now, effects = fire(session)

    assert now == 14.0
    assert sent(effects) == [Notification(4, 0)]
    assert told(effects) == [
        CloseTcp(),
        SessionDown("hold timer expired: peer is silent"),
        PrefixCounts(0, 0, 0),
        Connect(),
    ]


@pytest.mark.parametrize("message", [Keepalive(), Update(withdrawn=(A,)), Refresh(1)])
def test_whatever_the_peer_says_shows_that_it_lives(message: Message) -> None:
    session = established(replace(PEER, hold_time=3))
    hear(session, message, now=2.0)
    effects = session.handle_timeout(4.9)

    assert session.state is State.ESTABLISHED
    assert sent(effects) == [Keepalive()]


def test_what_bfd_loses_is_closed_at_once_and_tried_again() -> None:
    session = established()
    effects = session.bfd_down("silence", 20.0)

    assert sent(effects) == [Notification(6, 10)]
    assert SessionDown("BFD down: silence") in effects
    assert CloseTcp() in effects
    assert session.next_deadline() == 20.0


def test_bfd_has_nothing_to_close_where_there_is_no_session() -> None:
    session = Session(Settings(64512, 64513))
    session.start(0.0)

    assert session.bfd_down("silence", 1.0) == ()


def test_news_of_the_peer_cut_the_wait_for_the_next_attempt_short() -> None:
    session = begun()
    for now in (1.0, 2.0):
        session.connection_failed("gone", now)
        session.handle_timeout(session.next_deadline() or now)
    session.connection_failed("gone", 3.0)
    assert (session.next_deadline() or 0.0) > 4.0
    session.hasten(4.0)
    assert session.next_deadline() == 4.0
    assert session.handle_timeout(4.0) == (Connect(),)

    setup = session.next_deadline()
    session.hasten(5.0)
    assert session.next_deadline() == setup


def test_without_hold_time_nothing_is_due() -> None:
    assert established(replace(PEER, hold_time=0)).next_deadline() is None


# Routes


def flushed(session: Session) -> list[Update]:
    updates = []
    while session.has_news:
        updates += [m for m in sent(session.flush(1.0)) if isinstance(m, Update)]
    return updates


def test_an_external_peer_hears_our_as_and_no_local_preference() -> None:
    session = established()
    session.change_routes({A: RouteAttributes(100, (1, 2))})

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


def test_an_internal_peer_hears_an_empty_path_and_a_local_preference_even_of_zero() -> None:
    session = established(INTERNAL_PEER, Settings(64512, 64512))
    session.change_routes({A: PLAIN})

    assert flushed(session) == [
        Update(
            reach=(Reach(LOCAL, (A,)),),
            attributes=PathAttributes(Origin.INCOMPLETE, (), local_pref=0),
        )
    ]


def test_a_peer_with_narrow_as_numbers_gets_narrow_ones() -> None:
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
    assert told(effects) == [UpdatesSent(1), PrefixCounts(1, 1, 0)]
    assert not session.has_news
    assert session.flush(2.0) == ()


def test_announcements_leave_before_withdrawals() -> None:
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
    fire(session)
    session.connected(LocalAddresses(LOCAL), LOCAL, 20.0)
    session.change_routes({}, [B])
    assert not session.has_news
    hear(session, PEER, Keepalive(), now=20.0)

    (update,) = flushed(session)
    assert update.reach == (Reach(LOCAL, (A,)),)


def test_a_flush_is_bounded() -> None:
    session = established()
    many = {IPv4Network(((10 << 24) + number, 32)): PLAIN for number in range(10_000)}
    session.change_routes(many)
    first = session.flush(1.0)

    assert sum(len(effect.data) for effect in first if isinstance(effect, Send)) < 32_768
    assert session.has_news
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


def test_a_family_that_the_peer_does_not_take_is_not_sent() -> None:
    session = established(replace(PEER, capabilities=()), local=LOCAL_V6)
    session.change_routes({A: PLAIN, V6: PLAIN})

    assert not session.has_news


def test_a_route_refresh_brings_everything_again() -> None:
    session = established()
    session.change_routes({A: PLAIN})
    first = flushed(session)
    hear(session, Refresh(1))

    assert flushed(session) == first


def test_what_the_peer_announces_is_reported_and_has_no_effect() -> None:
    session = established()
    theirs = Update(
        reach=(Reach(IPv4Address("10.0.0.2"), (A,)),), attributes=PathAttributes(Origin.IGP)
    )

    assert hear(session, theirs) == (UpdateReceived(theirs),)


# Ending


def test_a_notification_ends_the_session_and_is_not_answered() -> None:
    session = established()
    text = "got BGP notification code 0x0604 (cease: administrative reset)"

    assert hear(session, Notification(6, 4), Keepalive(), now=30.0) == (
        NotificationReceived(text),
        CloseTcp(),
        SessionDown(text),
        PrefixCounts(0, 0, 0),
    )
    assert session.next_deadline() == 30.0


def test_a_session_that_falls_young_counts_as_a_failed_attempt() -> None:
    session = established()
    delays = []
    now = 0.0
    for _ in range(4):
        hear(session, Notification(6, 1), now=now + 5.0)
        due, _ = fire(session)
        delays.append(due - (now + 5.0))
        now = due
        session.connected(LocalAddresses(LOCAL), LOCAL, now)
        hear(session, PEER, Keepalive(), now=now)

    assert delays == [0, 1, 2, 4]


def test_a_session_that_lasted_is_dialled_again_at_once() -> None:
    session = Session(Settings(64512, 64513))
    session.start(0.0)
    for _ in range(5):
        session.connection_failed("connection refused", 0.0)
        fire(session)
    session.connected(LocalAddresses(LOCAL), LOCAL, 100.0)
    hear(session, PEER, Keepalive(), now=100.0)
    session.connection_failed("connection reset by peer", 111.0)

    assert session.next_deadline() == 111.0


def test_garbage_ends_the_session_with_the_right_notification() -> None:
    session = established()
    effects = session.receive(b"\0" * 19, 20.0)

    assert sent(effects) == [Notification(1, 1)]
    assert SessionDown("message marker is not all ones") in effects
    assert session.receive(encode(Keepalive()), 20.0) == ()


def test_half_a_message_is_forgotten_with_its_connection() -> None:
    session = established()
    session.receive(encode(Keepalive())[:10], 20.0)
    session.connection_failed("connection reset by peer", 20.0)
    fire(session)
    session.connected(LocalAddresses(LOCAL), LOCAL, 20.0)

    hear(session, PEER, Keepalive(), now=20.0)
    assert session.state is State.ESTABLISHED


@pytest.mark.parametrize("why", [Cease.ADMINISTRATIVE_SHUTDOWN, Cease.PEER_DECONFIGURED])
def test_stopping_says_cease_and_is_final(why: Cease) -> None:
    session = established()
    effects = session.stop(1.0, Farewell(why))

    assert sent(effects) == [Notification(6, why)]
    assert told(effects) == [CloseTcp()]
    assert session.next_deadline() is None


def test_stopping_without_a_connection_says_nothing() -> None:
    dialling = Session(Settings(64512, 64513))
    dialling.start(0.0)
    waiting = Session(Settings(64512, 64513))
    waiting.start(0.0)
    waiting.connection_failed("connection refused", 0.0)

    assert dialling.stop(1.0) == (CloseTcp(),)
    assert waiting.stop(1.0) == ()
    assert (dialling.next_deadline(), waiting.next_deadline()) == (None, None)


def test_a_peer_that_reads_nothing_is_left() -> None:
    session = established()
    session.blocked(20.0, is_blocked=True)
    session.blocked(30.0, is_blocked=True)  # still
    for now in range(40, 500, 20):  # it lives, and says so
        hear(session, Keepalive(), now=float(now))
        session.handle_timeout(float(now))
    effects = session.handle_timeout(500.0)

    assert sent(effects)[-1] == Notification(8, 0)
    assert SessionDown("peer reads nothing any more") in effects


def test_a_peer_that_reads_again_is_kept() -> None:
    session = established()
    session.blocked(20.0, is_blocked=True)
    session.blocked(30.0, is_blocked=False)
    for now in range(40, 600, 20):
        hear(session, Keepalive(), now=float(now))
        assert SessionDown("peer reads nothing any more") not in session.handle_timeout(float(now))
    assert session.state is State.ESTABLISHED


def test_a_router_that_refuses_capabilities_is_asked_without_them() -> None:
    session = Session(Settings(64512, 64513))
    session.start(0.0)
    (full,) = sent(session.connected(LocalAddresses(LOCAL), LOCAL, 0.0))
    assert isinstance(full, Open)
    assert full.capabilities
    session.receive(encode(Notification(2, 7)), 0.0)
    session.handle_timeout(0.0)

    (bare,) = sent(session.connected(LocalAddresses(LOCAL), LOCAL, 0.0))
    assert isinstance(bare, Open)
    assert bare.capabilities == ()
    hear(session, Open(64513, 90, IPv4Address("10.0.0.2")), Keepalive())
    assert session.state is State.ESTABLISHED
