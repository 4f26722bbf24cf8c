from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

import pytest
from support.bgp_messages import messages

from metallb_py.protocols.bgp.codec.capabilities import FourOctetAsn, GracefulRestart
from metallb_py.protocols.bgp.codec.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    encode,
)
from metallb_py.protocols.bgp.connections import (
    CollisionEffect,
    Connections,
    Decline,
    OnRival,
    Promote,
)
from metallb_py.protocols.bgp.effects import CloseTcp, Connect, Send, SessionDown, SessionUp
from metallb_py.protocols.bgp.fsm import State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.adj_rib_out import RouteAttributes
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses

LOW, HIGH = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.9")
LOST = Notification(6, 7)


def said(effects: Iterable[CollisionEffect]) -> list[Message]:
    """Return what is said on the session's connection."""
    return messages(b"".join(e.data for e in effects if isinstance(e, Send)))


def rival_said(effects: Iterable[CollisionEffect]) -> list[Message]:
    """Return what is said on the connection that came in."""
    sends = (e.effect for e in effects if isinstance(e, OnRival))
    return messages(b"".join(e.data for e in sends if isinstance(e, Send)))


class Peer:
    """A router, and us with one connection that we dialled."""

    def __init__(
        self,
        ours: IPv4Address,
        theirs: IPv4Address,
        asn: int = 64513,
        restart_time: int | None = None,
    ) -> None:
        self.ours = ours
        self.connections = Connections(Settings(64512, asn, restart_time=restart_time))
        restarts = () if restart_time is None else (GracefulRestart(restart_time),)
        self.open = encode(Open(asn, 90, theirs, (FourOctetAsn(asn), *restarts)))
        self.connections.session.change_routes({IPv4Network("192.0.2.1/32"): RouteAttributes()})
        self.connections.session.start(0.0)

    def connect(self) -> None:
        self.connections.connected(LocalAddresses(self.ours), self.ours, 0.0)

    def accept(self) -> tuple[CollisionEffect, ...]:
        return self.connections.accepted(LocalAddresses(self.ours), self.ours, 0.0)

    def hear(self, *more: Message) -> tuple[CollisionEffect, ...]:
        """Hear the peer's OPEN, and more, on the session's connection."""
        return self.connections.receive(self.open + b"".join(map(encode, more)), 0.0)

    def hear_rival(self, *more: Message) -> tuple[CollisionEffect, ...]:
        """The same, on the connection that came in."""
        return self.connections.receive_rival(self.open + b"".join(map(encode, more)), 0.0)


def test_a_connection_that_comes_in_while_there_is_none_is_the_sessions() -> None:
    peer = Peer(LOW, HIGH)
    peer.connections.connection_failed("connection refused", 0.0)
    (opened,) = said(peer.accept())
    assert isinstance(opened, Open)

    assert any(isinstance(e, SessionUp) for e in peer.hear(Keepalive()))
    assert peer.connections.session.is_up


def test_a_passive_session_never_dials() -> None:
    connections = Connections(Settings(64512, 64513), passive=True)
    assert connections.session.start(0.0) == ()
    assert connections.next_deadline() is None
    assert isinstance(said(connections.accepted(LocalAddresses(LOW), LOW, 0.0))[0], Open)
    connections.connection_failed("connection reset by peer", 1.0)
    assert connections.next_deadline() is None
    assert isinstance(said(connections.accepted(LocalAddresses(LOW), LOW, 2.0))[0], Open)


@pytest.mark.parametrize("before", ["session", "rival"])
def test_the_higher_identifiers_connection_stays_if_it_is_theirs(before: str) -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    assert isinstance(rival_said(peer.accept())[0], Open)

    effects = peer.hear() if before == "session" else peer.hear_rival()
    assert said(effects) == [LOST], "and no KEEPALIVE"
    assert CloseTcp() in effects
    assert effects.index(CloseTcp()) < effects.index(Promote())
    more = b"" if before == "rival" else peer.open
    assert any(
        isinstance(e, SessionUp) for e in peer.connections.receive(more + encode(Keepalive()), 0.0)
    )
    assert peer.connections.session.has_news


@pytest.mark.parametrize("before", ["session", "rival"])
def test_the_higher_identifiers_connection_stays_if_it_is_ours(before: str) -> None:
    peer = Peer(HIGH, LOW)
    peer.connect()
    peer.accept()

    effects = peer.hear() if before == "session" else peer.hear_rival()
    assert rival_said(effects) == [LOST], "and no KEEPALIVE"
    assert effects[-1] == OnRival(CloseTcp())
    assert LOST not in said(effects)
    more = b"" if before == "session" else peer.open
    peer.connections.receive(more + encode(Keepalive()), 0.0)
    assert peer.connections.session.is_up


@pytest.mark.parametrize(("asn", "promoted"), [(64511, False), (64513, True)])
def test_of_equal_identifiers_the_higher_as_number_decides(asn: int, promoted: bool) -> None:
    peer = Peer(LOW, LOW, asn)
    peer.connect()
    peer.accept()
    assert (Promote() in peer.hear()) == promoted


@pytest.mark.parametrize(("ours", "theirs"), [(LOW, HIGH), (HIGH, LOW)])
@pytest.mark.parametrize("first", ["session", "rival"])
def test_open_and_keepalive_may_come_in_one_segment(
    ours: IPv4Address, theirs: IPv4Address, first: str
) -> None:
    peer = Peer(ours, theirs)
    peer.connect()
    peer.accept()
    effects = peer.hear(Keepalive()) if first == "session" else peer.hear_rival(Keepalive())
    stays = "rival" if theirs > ours else "session"
    assert any(isinstance(e, SessionUp) for e in effects) == (first == stays)
    assert peer.connections.session.is_up == (first == stays)


def test_what_comes_in_while_we_still_dial_stays() -> None:
    peer = Peer(HIGH, LOW)
    peer.accept()
    effects = peer.hear_rival(Keepalive())
    assert effects.index(CloseTcp()) < effects.index(Promote())
    assert peer.connections.session.is_up


def test_a_session_that_falls_leaves_its_place_to_the_rival() -> None:
    peer = Peer(HIGH, LOW)
    peer.connect()
    peer.accept()
    effects = peer.connections.receive(encode(LOST), 0.0)
    assert effects == (CloseTcp(),)  # and no failure is told
    assert peer.connections.session.state is State.IDLE
    peer.connections.handle_timeout(5.0)
    assert peer.connections.session.state is State.IDLE, "it does not dial beside the rival"

    assert Promote() in peer.hear_rival(Keepalive())
    assert peer.connections.session.is_up


def test_a_rival_that_fails_leaves_the_session_alone() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    assert peer.connections.rival_failed("connection reset by peer", 0.0) == (OnRival(CloseTcp()),)
    assert any(isinstance(e, SessionUp) for e in peer.hear(Keepalive()))


def test_a_mute_rival_is_given_up_in_time() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.connections.accepted(LocalAddresses(LOW), LOW, 5.0)
    peer.connections.connection_failed("connection reset by peer", 6.0)
    at = peer.connections.next_deadline()
    assert at == 15.0
    assert OnRival(CloseTcp()) in peer.connections.handle_timeout(at)
    assert Connect() in peer.connections.handle_timeout(at)


def test_a_rival_of_another_as_is_refused_and_the_session_lives() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    other = encode(Open(64999, 90, HIGH, (FourOctetAsn(64999),)))
    effects = peer.connections.receive_rival(other, 0.0)
    assert rival_said(effects) == [Notification(2, 2)]
    assert any(isinstance(e, SessionUp) for e in peer.hear(Keepalive()))


def test_a_third_connection_is_declined() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    assert peer.accept() == (Decline(encode(LOST)),)


def test_an_established_session_is_not_disturbed() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.hear(Keepalive())
    assert peer.accept() == (Decline(encode(LOST)),)
    assert peer.connections.session.is_up


def test_one_that_keeps_routes_may_have_restarted() -> None:
    peer = Peer(HIGH, LOW, restart_time=120)
    peer.connect()
    peer.hear(Keepalive())

    assert isinstance(rival_said(peer.accept())[0], Open)
    effects = peer.hear_rival(Keepalive())
    down = next(e for e in effects if isinstance(e, SessionDown))
    assert down.reason == "peer opened another connection"
    assert effects.index(CloseTcp()) < effects.index(Promote())
    assert peer.connections.session.is_up


def test_the_end_is_told_on_both_connections() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    effects = peer.connections.stop(0.0)
    assert said(effects) == rival_said(effects) == [Notification(6, 2)]
    assert peer.connections.next_deadline() is None
