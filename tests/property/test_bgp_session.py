"""Two sessions over an unreliable connection: the router converges to the announced routes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.protocols.bgp.codec.codes import MessageType
from metallb_py.protocols.bgp.codec.framing import frame
from metallb_py.protocols.bgp.codec.messages import Keepalive, Open, encode
from metallb_py.protocols.bgp.effects import (
    CloseTcp,
    Connect,
    Effect,
    Send,
    SessionDown,
    SessionUp,
    UpdateReceived,
)
from metallb_py.protocols.bgp.fsm import State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.session import Session

SPEAKER = IPv4Address("10.0.0.1")
ROUTER = IPv4Address("10.0.0.2")
PREFIXES = [IPv4Network(((10 << 24) + number, 32)) for number in range(6)]
prefixes = st.sampled_from(PREFIXES)
attributes = st.builds(
    RouteAttributes,
    st.integers(0, 2),
    st.sampled_from([(), (1,), (1, 2)]).map(lambda values: frozenset(map(Community, values))),
)


class UnreliableConnection(RuleBasedStateMachine):
    """A speaker and a router, and the bytes in transit between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.speaker = Session(Settings(SessionParameters(64512, 64513, hold_time=9)))
        self.router: Session | None = None
        self.connecting = self.connected = self.was_up = False
        self.to_router = bytearray()
        self.to_speaker = bytearray()
        self.wanted: dict[IPv4Network, RouteAttributes] = {}
        self.adj_rib_in: dict[IPv4Network, tuple[int, ...]] = {}

    @initialize()
    def start(self) -> None:
        self.from_speaker(self.speaker.start(self.now))

    @rule(prefix=prefixes, route=attributes)
    def announce(self, prefix: IPv4Network, route: RouteAttributes) -> None:
        self.wanted[prefix] = route
        self.from_speaker(self.speaker.change_routes({prefix: route}))

    @rule(prefix=prefixes)
    def withdraw(self, prefix: IPv4Network) -> None:
        self.wanted.pop(prefix, None)
        self.from_speaker(self.speaker.change_routes({}, [prefix]))

    @rule()
    def flush(self) -> None:
        self.from_speaker(self.speaker.flush(self.now))

    @precondition(lambda self: self.connecting)
    @rule(works=st.booleans())
    def answer_dial(self, *, works: bool) -> None:
        self.connecting = False
        if not works:
            self.from_speaker(self.speaker.connection_failed("connection refused", self.now))
            return
        self.connected = True
        self.to_router.clear()
        self.to_speaker.clear()
        self.router = Session(Settings(SessionParameters(64513, 0, hold_time=9, passive=True)))
        self.from_router(self.router.start(self.now))
        self.from_router(self.router.connected(LocalAddresses(ROUTER), ROUTER, self.now))
        self.from_speaker(self.speaker.connected(LocalAddresses(SPEAKER), SPEAKER, self.now))

    @precondition(lambda self: self.connected)
    @rule(size=st.integers(1, 60))
    def deliver_to_router(self, size: int) -> None:
        self.deliver(size, 0)

    @precondition(lambda self: self.connected)
    @rule(size=st.integers(1, 60))
    def deliver_to_speaker(self, size: int) -> None:
        self.deliver(0, size)

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        self.from_speaker(self.speaker.connection_failed("connection reset by peer", self.now))
        self.close()

    @rule(seconds=st.floats(0.1, 5.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.from_speaker(self.speaker.handle_timeout(self.now))
        if self.router is not None:
            self.from_router(self.router.handle_timeout(self.now))

    @rule()
    def settle(self) -> None:
        """Keep the connection until the router has the wanted routes, after any earlier events."""
        for _ in range(60):
            if self.connecting:
                self.answer_dial(works=True)
            self.deliver(100_000, 100_000)
            self.flush()
            if self.speaker.state is State.ESTABLISHED and not self.to_router:
                break
            self.wait(2.5)
        assert self.adj_rib_in == {
            prefix: tuple(sorted(route.communities)) for prefix, route in self.wanted.items()
        }

    @invariant()
    def the_session_connects_or_has_a_deadline(self) -> None:
        assert self.connecting or self.speaker.next_deadline() is not None

    def deliver(self, to_router: int, to_speaker: int) -> None:
        data, self.to_router[:to_router] = bytes(self.to_router[:to_router]), b""
        back, self.to_speaker[:to_speaker] = bytes(self.to_speaker[:to_speaker]), b""
        if self.router is not None:
            self.from_router(self.router.receive(data, self.now))
        if self.connected:
            self.from_speaker(self.speaker.receive(back, self.now))

    def from_speaker(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Connect():
                    assert not self.connected
                    assert not self.connecting
                    self.connecting = True
                case Send(data):
                    assert self.connected
                    self.to_router += data
                case CloseTcp():
                    self.connecting = False
                    self.close()
                case SessionUp():
                    assert not self.was_up
                    self.was_up = True
                case SessionDown():
                    assert self.was_up
                    self.was_up = False
                case PrefixCounts(announced, desired, _):
                    assert desired == len(self.wanted)
                    assert announced == 0 or self.was_up

    def from_router(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Send(data):
                    self.to_speaker += data
                case UpdateReceived(update):
                    for prefix in update.withdrawn:
                        del self.adj_rib_in[prefix]  # never withdrawn without being announced
                    for reach in update.reach:
                        assert update.attributes is not None
                        for prefix in reach.prefixes:
                            self.adj_rib_in[prefix] = update.attributes.communities
                case CloseTcp() if self.connected:
                    self.from_speaker(
                        self.speaker.connection_failed("connection closed by peer", self.now)
                    )
                    self.close()

    def close(self) -> None:
        """Close the connection; the router removes the routes learned from this session."""
        self.connected = False
        self.router = None
        self.adj_rib_in.clear()


def established() -> Session:
    session = Session(Settings(SessionParameters(64512, 0)))
    session.start(0.0)
    session.connected(LocalAddresses(SPEAKER), SPEAKER, 0.0)
    session.change_routes(dict.fromkeys(PREFIXES, RouteAttributes()))
    session.receive(encode(Open(64513, 90, ROUTER)) + encode(Keepalive()), 0.0)
    assert session.state is State.ESTABLISHED
    return session


bodies = st.tuples(st.sampled_from(MessageType), st.binary(max_size=80))


@given(st.lists(bodies, max_size=6), st.binary(max_size=30), st.booleans())
def test_session_handles_any_bytes_of_the_peer(
    messages: list[tuple[MessageType, bytes]], rest: bytes, early: bool
) -> None:
    session = established()
    if early:
        session.connection_failed("connection reset by peer", 0.0)
        session.handle_timeout(0.0)
        session.connected(LocalAddresses(SPEAKER), SPEAKER, 0.0)
    session.receive(b"".join(frame(*one) for one in messages) + rest, 1.0)

    assert session.next_deadline() is not None
    if session.state is State.IDLE:
        assert session.receive(encode(Keepalive()), 2.0) == ()


TestUnreliableConnection = UnreliableConnection.TestCase
TestUnreliableConnection.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
