"""Connection collisions (RFC 4271 section 6.8) with any delays: one session remains."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.protocols.bgp.connections import (
    CollisionEffect,
    Connections,
    OnIncoming,
    RejectConnection,
    SwitchConnection,
)
from metallb_py.protocols.bgp.effects import CloseTcp, Connect, Send, SessionDown, SessionUp
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses

LOW, HIGH = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
ROUTE = {IPv4Network("192.0.2.1/32"): RouteAttributes()}


@dataclass(eq=False)
class End:
    """One end of a TCP connection, and the data in transit to it."""

    side: Side
    other: End | None = None
    arriving: list[bytes | None] = field(default_factory=list)  # None: the other end was closed
    accepted: bool = True
    closed: bool = False

    def send(self, data: bytes | None) -> None:
        if self.other is not None:
            self.other.arriving.append(data)


class Side:
    """A speaker with a minimal driver."""

    def __init__(
        self, router_id: IPv4Address, local: int, remote: int, restart_time: int | None
    ) -> None:
        self.router_id = router_id
        parameters = SessionParameters(
            local, remote, hold_time=9, graceful_restart=restart_time is not None
        )
        self.connections = Connections(Settings(parameters, restart_time=restart_time or 0))
        self.connections.session.change_routes(ROUTE)
        self.main: End | None = None
        self.incoming: End | None = None
        self.connecting: End | None = None
        self.is_up = False

    def perform(self, effects: tuple[CollisionEffect, ...], now: float) -> None:
        for effect in effects:
            match effect:
                case Connect():
                    assert self.main is None
                    assert self.connecting is None
                    self.connecting = End(self)
                case Send(data):
                    assert self.main is not None
                    self.main.send(data)
                case CloseTcp():
                    self.close_session()
                case OnIncoming(action):
                    self.perform_on_incoming(action)
                case SwitchConnection():
                    assert self.main is None
                    assert self.incoming is not None
                    self.main, self.incoming = self.incoming, None
                case SessionUp():
                    assert not self.is_up
                    self.is_up = True
                case SessionDown():
                    assert self.is_up
                    self.is_up = False
        flushed = self.connections.session.flush(now)
        if flushed:
            self.perform(flushed, now)

    def perform_on_incoming(self, action: Send | CloseTcp) -> None:
        assert self.incoming is not None
        if isinstance(action, Send):
            self.incoming.send(action.data)
        else:
            self.close(self.incoming)
            self.incoming = None

    def close_session(self) -> None:
        assert self.main is not None or self.connecting is not None
        for end in (self.main, self.connecting):
            if end is not None:
                self.close(end)
        self.main = self.connecting = None

    def close(self, end: End) -> None:
        end.closed = True
        end.send(None)

    def receive(self, end: End, data: bytes | None, now: float) -> None:
        """Handle received data, or a close (None); ignore it on an end that was closed here."""
        if end is self.main:
            if data is None:
                effects = self.connections.connection_failed("closed by peer", now)
            else:
                effects = self.connections.receive(data, now)
        elif end is self.incoming:
            if data is None:
                effects = self.connections.incoming_failed("closed by peer", now)
            else:
                effects = self.connections.receive_on_incoming(data, now)
        else:
            return
        self.perform(effects, now)

    def accept(self, end: End, now: float) -> None:
        effects = self.connections.accepted(LocalAddresses(self.router_id), self.router_id, now)
        match effects:
            case (RejectConnection(data),):
                end.send(data)
                self.close(end)
            case (OnIncoming(), *_):
                self.incoming = end
                self.perform(effects, now)
            case _:
                assert self.main is None
                self.main = end
                self.perform(effects, now)


class ConnectionCollision(RuleBasedStateMachine):
    """Connects, accepts, deliveries and timeouts of both sides in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sides: tuple[Side, ...] = ()
        self.waiting: list[End] = []  # to be accepted
        self.ends: list[End] = []

    @initialize(equal_ids=st.booleans(), restart_time=st.sampled_from([None, 120]))
    def start(self, *, equal_ids: bool, restart_time: int | None) -> None:
        first = Side(LOW, 64512, 64513, restart_time)
        second = Side(LOW if equal_ids else HIGH, 64513, 64512, restart_time)
        self.sides = (first, second)
        for side in self.sides:
            side.perform(side.connections.session.start(0.0), 0.0)

    @rule(which=st.integers(0, 1))
    def connect(self, which: int) -> None:
        side = self.sides[which]
        ours = side.connecting
        if ours is None:
            return
        theirs = End(self.sides[1 - which], ours, accepted=False)
        ours.other = theirs
        side.connecting, side.main = None, ours
        self.waiting.append(theirs)
        self.ends += [ours, theirs]
        effects = side.connections.connected(
            LocalAddresses(side.router_id), side.router_id, self.now
        )
        side.perform(effects, self.now)

    @rule(which=st.integers(0, 3))
    def accept(self, which: int) -> None:
        if which < len(self.waiting):
            end = self.waiting.pop(which)
            end.accepted = True
            end.side.accept(end, self.now)

    @rule(which=st.integers(0, 7), pieces=st.integers(1, 3))
    def deliver(self, which: int, pieces: int) -> None:
        open_ends = [end for end in self.ends if end.accepted and end.arriving]
        if which < len(open_ends):
            self.arrive(open_ends[which], pieces)

    @rule(seconds=st.floats(0.0, 4.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for side in self.sides:
            side.perform(side.connections.handle_timeout(self.now), self.now)

    @rule()
    def settle(self) -> None:
        """Let the network work until both sides have one session on the same connection."""
        for _ in range(200):
            for which in (0, 1):
                self.connect(which)
            while self.waiting:
                self.accept(0)
            for end in self.ends:
                self.arrive(end, len(end.arriving))
            if all(side.is_up for side in self.sides) and not any(e.arriving for e in self.ends):
                break
            self.wait(0.5)
        first, second = self.sides
        assert first.is_up
        assert second.is_up
        assert first.main is not None
        assert first.main.other is second.main
        assert first.incoming is second.incoming is None

    @invariant()
    def each_side_has_a_deadline(self) -> None:
        for side in self.sides:
            assert side.connections.next_deadline() is not None

    def arrive(self, end: End, pieces: int) -> None:
        arrived, end.arriving[:pieces] = end.arriving[:pieces], []
        data = b"".join(piece for piece in arrived if piece is not None)
        if data:
            end.side.receive(end, data, self.now)
        if None in arrived:
            end.side.receive(end, None, self.now)


TestConnectionCollision = ConnectionCollision.TestCase
TestConnectionCollision.settings = settings(max_examples=300, stateful_step_count=40)
