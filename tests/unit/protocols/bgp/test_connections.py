from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

import pytest
from support.bgp.messages import sent

from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import RouteAttributes
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
    OnIncoming,
    RejectConnection,
    SwitchConnection,
)
from metallb_py.protocols.bgp.effects import CloseTcp, Connect, SessionDown, SessionUp
from metallb_py.protocols.bgp.fsm import State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses

LOW, HIGH = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.9")
LOST = Notification(6, 7)


def sent_on_incoming(effects: Iterable[CollisionEffect]) -> list[Message]:
    """Return the messages sent on the incoming connection."""
    return sent(effect.effect for effect in effects if isinstance(effect, OnIncoming))


class Peer:
    """A router, and our connections to it."""

    def __init__(
        self,
        ours: IPv4Address,
        theirs: IPv4Address,
        asn: int = 64513,
        restart_time: int | None = None,
    ) -> None:
        self.ours = ours
        parameters = SessionParameters(64512, asn, graceful_restart=restart_time is not None)
        self.connections = Connections(Settings(parameters, restart_time=restart_time or 0))
        restarts = () if restart_time is None else (GracefulRestart(restart_time),)
        self.open = encode(Open(asn, 90, theirs, (FourOctetAsn(asn), *restarts)))
        self.connections.session.change_routes({IPv4Network("192.0.2.1/32"): RouteAttributes()})
        self.connections.session.start(0.0)

    def connect(self) -> None:
        self.connections.connected(LocalAddresses(self.ours), self.ours, 0.0)

    def accept(self) -> tuple[CollisionEffect, ...]:
        return self.connections.accepted(LocalAddresses(self.ours), self.ours, 0.0)

    def receive(self, *more: Message) -> tuple[CollisionEffect, ...]:
        """Receive the peer's OPEN, and more, on the session's connection."""
        return self.connections.receive(self.open + b"".join(map(encode, more)), 0.0)

    def receive_on_incoming(self, *more: Message) -> tuple[CollisionEffect, ...]:
        """Receive the peer's OPEN, and more, on the incoming connection."""
        return self.connections.receive_on_incoming(self.open + b"".join(map(encode, more)), 0.0)


def test_incoming_connection_is_adopted_by_a_session_without_one() -> None:
    peer = Peer(LOW, HIGH)
    peer.connections.connection_failed("connection refused", 0.0)
    (opened,) = sent(peer.accept())
    assert isinstance(opened, Open)

    assert any(isinstance(e, SessionUp) for e in peer.receive(Keepalive()))
    assert peer.connections.session.is_up


def test_passive_session_never_connects() -> None:
    connections = Connections(Settings(SessionParameters(64512, 64513, passive=True)))
    assert connections.session.start(0.0) == ()
    assert connections.next_deadline() is None
    assert isinstance(sent(connections.accepted(LocalAddresses(LOW), LOW, 0.0))[0], Open)
    connections.connection_failed("connection reset by peer", 1.0)
    assert connections.next_deadline() is None
    assert isinstance(sent(connections.accepted(LocalAddresses(LOW), LOW, 2.0))[0], Open)


@pytest.mark.parametrize("before", ["session", "incoming"])
def test_collision_keeps_the_incoming_one_of_a_higher_identifier(before: str) -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    assert isinstance(sent_on_incoming(peer.accept())[0], Open)

    effects = peer.receive() if before == "session" else peer.receive_on_incoming()
    assert sent(effects) == [LOST], "and no KEEPALIVE"
    assert CloseTcp() in effects
    assert effects.index(CloseTcp()) < effects.index(SwitchConnection())
    more = b"" if before == "incoming" else peer.open
    assert any(
        isinstance(e, SessionUp) for e in peer.connections.receive(more + encode(Keepalive()), 0.0)
    )
    assert peer.connections.session.has_pending


@pytest.mark.parametrize("before", ["session", "incoming"])
def test_collision_keeps_our_connection_if_our_identifier_is_higher(before: str) -> None:
    peer = Peer(HIGH, LOW)
    peer.connect()
    peer.accept()

    effects = peer.receive() if before == "session" else peer.receive_on_incoming()
    assert sent_on_incoming(effects) == [LOST], "and no KEEPALIVE"
    assert effects[-1] == OnIncoming(CloseTcp())
    assert LOST not in sent(effects)
    more = b"" if before == "session" else peer.open
    peer.connections.receive(more + encode(Keepalive()), 0.0)
    assert peer.connections.session.is_up


@pytest.mark.parametrize(("asn", "promoted"), [(64511, False), (64513, True)])
def test_collision_of_equal_identifiers_is_decided_by_as_number(asn: int, promoted: bool) -> None:
    peer = Peer(LOW, LOW, asn)
    peer.connect()
    peer.accept()
    assert (SwitchConnection() in peer.receive()) == promoted


@pytest.mark.parametrize(("ours", "theirs"), [(LOW, HIGH), (HIGH, LOW)])
@pytest.mark.parametrize("first", ["session", "incoming"])
def test_collision_with_open_and_keepalive_in_one_segment(
    ours: IPv4Address, theirs: IPv4Address, first: str
) -> None:
    peer = Peer(ours, theirs)
    peer.connect()
    peer.accept()
    effects = (
        peer.receive(Keepalive()) if first == "session" else peer.receive_on_incoming(Keepalive())
    )
    stays = "incoming" if theirs > ours else "session"
    assert any(isinstance(e, SessionUp) for e in effects) == (first == stays)
    assert peer.connections.session.is_up == (first == stays)


def test_incoming_connection_is_kept_while_ours_still_connects() -> None:
    peer = Peer(HIGH, LOW)
    peer.accept()
    effects = peer.receive_on_incoming(Keepalive())
    assert effects.index(CloseTcp()) < effects.index(SwitchConnection())
    assert peer.connections.session.is_up


def test_incoming_connection_replaces_a_session_that_ends() -> None:
    peer = Peer(HIGH, LOW)
    peer.connect()
    peer.accept()
    effects = peer.connections.receive(encode(LOST), 0.0)
    assert effects == (CloseTcp(),)  # and no failure is reported
    assert peer.connections.session.state is State.IDLE
    peer.connections.handle_timeout(5.0)
    assert peer.connections.session.state is State.IDLE, "no second connection is opened"

    assert SwitchConnection() in peer.receive_on_incoming(Keepalive())
    assert peer.connections.session.is_up


def test_failed_incoming_connection_leaves_the_session_alone() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    assert peer.connections.incoming_failed("connection reset by peer", 0.0) == (
        OnIncoming(CloseTcp()),
    )
    assert any(isinstance(e, SessionUp) for e in peer.receive(Keepalive()))


def test_incoming_connection_without_open_is_closed_in_time() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.connections.accepted(LocalAddresses(LOW), LOW, 5.0)
    peer.connections.connection_failed("connection reset by peer", 6.0)
    at = peer.connections.next_deadline()
    assert at == 15.0
    assert OnIncoming(CloseTcp()) in peer.connections.handle_timeout(at)
    assert Connect() in peer.connections.handle_timeout(at)


def test_incoming_open_of_another_as_is_rejected_and_the_session_lives() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    other = encode(Open(64999, 90, HIGH, (FourOctetAsn(64999),)))
    effects = peer.connections.receive_on_incoming(other, 0.0)
    assert sent_on_incoming(effects) == [Notification(2, 2)]
    assert any(isinstance(e, SessionUp) for e in peer.receive(Keepalive()))


def test_third_connection_is_rejected() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    assert peer.accept() == (RejectConnection(encode(LOST)),)


def test_established_session_rejects_an_incoming_connection() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.receive(Keepalive())
    assert peer.accept() == (RejectConnection(encode(LOST)),)
    assert peer.connections.session.is_up


def test_graceful_restart_peer_may_replace_an_established_session() -> None:
    peer = Peer(HIGH, LOW, restart_time=120)
    peer.connect()
    peer.receive(Keepalive())

    assert isinstance(sent_on_incoming(peer.accept())[0], Open)
    effects = peer.receive_on_incoming(Keepalive())
    down = next(e for e in effects if isinstance(e, SessionDown))
    assert down.reason == "peer opened another connection"
    assert effects.index(CloseTcp()) < effects.index(SwitchConnection())
    assert peer.connections.session.is_up


def test_stop_sends_cease_on_both_connections() -> None:
    peer = Peer(LOW, HIGH)
    peer.connect()
    peer.accept()
    effects = peer.connections.stop(0.0)
    assert sent(effects) == sent_on_incoming(effects) == [Notification(6, 2)]
    assert peer.connections.next_deadline() is None
