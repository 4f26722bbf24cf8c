"""Every event in every state of the BGP FSM, compared with a second copy of the RFC's tables.

The table below is taken from RFC 4271 section 8.2.2, RFC 6608 and RFC 9687, not from ``fsm``;
deliberate deviations are documented in that module's docstring.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.bgp.messages import messages

from metallb_py.model.peers import SessionParameters
from metallb_py.protocols.bgp.codec.capabilities import FourOctetAsn
from metallb_py.protocols.bgp.codec.messages import (
    Keepalive,
    Notification,
    Open,
    Refresh,
    encode,
)
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.effects import (
    CloseTcp,
    Connect,
    ConnectFailed,
    Effect,
    NotificationReceived,
    Send,
    SessionDown,
    SessionUp,
)
from metallb_py.protocols.bgp.fsm import Event, State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.session import Session

OURS, THEIRS = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
IDLE, CONNECT, ACTIVE = State.IDLE, State.CONNECT, State.ACTIVE
OPEN_SENT, OPEN_CONFIRM, ESTABLISHED = State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED
CONNECTED_STATES = (OPEN_SENT, OPEN_CONFIRM, ESTABLISHED)
MARKER = b"\xff" * 16


def an_open(asn: int = 64513, hold_time: int = 90, router_id: IPv4Address = THEIRS) -> bytes:
    return encode(Open(asn, hold_time, router_id, (FourOctetAsn(asn),)))


MESSAGES = {
    "OPEN": an_open(),
    "OPEN of another AS": an_open(asn=64999),
    "OPEN with a hold time of 2": an_open(hold_time=2),
    "OPEN without identifier": an_open(router_id=IPv4Address(0)),
    "OPEN of version 3": an_open()[:19] + b"\x03" + an_open()[20:],
    "KEEPALIVE": encode(Keepalive()),
    "UPDATE": encode(Update()),
    "ROUTE-REFRESH": encode(Refresh(1)),
    "NOTIFICATION": encode(Notification(6, 4)),
    "no marker": b"\x00" * 19,
    "length of 18": MARKER + b"\x00\x12\x04",
    "length of 5000": MARKER + b"\x13\x88\x02",
    "type 9": MARKER + b"\x00\x13\x09",
    "UPDATE that ends early": MARKER + b"\x00\x17\x02\x00\x09\x00\x00",
}
TIMERS = {
    "retry": Event.RETRY_DUE,
    "setup": Event.SETUP_EXPIRED,
    "hold": Event.HOLD_EXPIRED,
    "keepalive": Event.KEEPALIVE_DUE,
    "send hold": Event.SEND_HOLD_EXPIRED,
}
STIMULI = (*MESSAGES, *TIMERS, "connected", "connection lost", "BFD down", "stop")


@dataclass(frozen=True)
class Outcome:
    """Next state, the code and subcode of the NOTIFICATION sent, and the other messages sent."""

    state: State
    notification: tuple[int, int] | None = None
    sends: tuple[type, ...] = ()


def connected_state(state: State) -> dict[str, Outcome]:
    """Return the outcomes common to the connected states; 5/n is the error of the n-th of them."""
    unexpected = Outcome(IDLE, (5, CONNECTED_STATES.index(state) + 1))
    return {
        **dict.fromkeys(MESSAGES, unexpected),
        "OPEN of version 3": Outcome(IDLE, (2, 1)),
        "NOTIFICATION": Outcome(IDLE),
        "no marker": Outcome(IDLE, (1, 1)),
        "length of 18": Outcome(IDLE, (1, 2)),
        "length of 5000": Outcome(IDLE, (1, 2)),
        "type 9": Outcome(IDLE, (1, 3)),
        "UPDATE that ends early": Outcome(IDLE, (3, 1)),
        "connection lost": Outcome(IDLE),
        "setup": Outcome(IDLE, (4, 0)),
        "BFD down": Outcome(IDLE, (6, 10)),
        "stop": Outcome(IDLE, (6, 2)),
    }


EXPECTED: dict[State, dict[str, Outcome]] = {
    IDLE: {
        "retry": Outcome(CONNECT),
        "connected": Outcome(OPEN_SENT, sends=(Open,)),
    },
    CONNECT: {
        "connected": Outcome(OPEN_SENT, sends=(Open,)),
        "connection lost": Outcome(IDLE),
        "setup": Outcome(IDLE),
        "stop": Outcome(IDLE),
    },
    ACTIVE: {
        "connected": Outcome(OPEN_SENT, sends=(Open,)),
        "stop": Outcome(IDLE),
    },
    OPEN_SENT: {
        **connected_state(OPEN_SENT),
        "OPEN": Outcome(OPEN_CONFIRM, sends=(Keepalive,)),
        "OPEN of another AS": Outcome(IDLE, (2, 2)),
        "OPEN with a hold time of 2": Outcome(IDLE, (2, 6)),
        "OPEN without identifier": Outcome(IDLE, (2, 3)),
    },
    OPEN_CONFIRM: {
        **connected_state(OPEN_CONFIRM),
        "KEEPALIVE": Outcome(ESTABLISHED),
        "keepalive": Outcome(OPEN_CONFIRM, sends=(Keepalive,)),
        "hold": Outcome(IDLE, (4, 0)),
    },
    ESTABLISHED: {
        **connected_state(ESTABLISHED),
        "KEEPALIVE": Outcome(ESTABLISHED),
        "UPDATE": Outcome(ESTABLISHED),
        "ROUTE-REFRESH": Outcome(ESTABLISHED),
        "keepalive": Outcome(ESTABLISHED, sends=(Keepalive,)),
        "hold": Outcome(IDLE, (4, 0)),
        "send hold": Outcome(IDLE, (8, 0)),
    },
}


class Driven:
    """A session, its clock, and the state of its connection."""

    def __init__(self, *, passive: bool) -> None:
        self.passive = passive
        self.now = 0.0
        self.session = Session(
            Settings(SessionParameters(64512, 64513, connect_time=5, passive=passive))
        )
        self.has_connection = self.is_up = self.stopped = False
        self.perform(self.session.start(self.now))

    def apply(self, stimulus: str) -> list[object]:
        """Apply a stimulus; return the messages sent."""
        self.now += 0.001
        session = self.session
        if stimulus in MESSAGES:
            return self.perform(session.receive(MESSAGES[stimulus], self.now))
        if stimulus in TIMERS:
            return self.perform(self.expire(TIMERS[stimulus]))
        if stimulus == "connected":
            if self.session.state not in CONNECTED_STATES:
                self.has_connection = True
            return self.perform(session.connected(LocalAddresses(OURS), OURS, self.now))
        if stimulus == "connection lost":
            return self.perform(session.connection_failed("connection reset by peer", self.now))
        if stimulus == "BFD down":
            return self.perform(session.bfd_down("detection time expired", self.now))
        self.stopped = True
        return self.perform(session.stop(self.now))

    def expire(self, timer: Event) -> tuple[Effect, ...]:
        """Expire this timer, and no other one, if it runs."""
        if timer is Event.SEND_HOLD_EXPIRED:
            self.session.set_send_blocked(self.now, is_blocked=True)
        deadlines = self.session._deadlines
        if timer not in deadlines:
            return ()
        deadlines[timer] = self.now
        for other in deadlines.keys() - {timer}:
            deadlines[other] = max(deadlines[other], self.now + 1.0)
        return self.session.handle_timeout(self.now)

    def perform(self, effects: tuple[Effect, ...]) -> list[object]:
        sent: list[object] = []
        for effect in effects:
            match effect:
                case Send(data):
                    assert self.has_connection
                    sent += messages(data)
                case CloseTcp():
                    self.has_connection = False
                case Connect():
                    assert not self.has_connection
                case SessionUp():
                    assert not self.is_up
                    self.is_up = True
                case SessionDown():
                    assert self.is_up
                    self.is_up = False
                case ConnectFailed():
                    assert not self.is_up
                case NotificationReceived():
                    assert self.is_up
        return sent


def check(driven: Driven, stimulus: str) -> None:
    """Apply a stimulus and compare with the table; without an entry, nothing happens."""
    before = driven.session.state
    wanted = EXPECTED[before].get(stimulus, Outcome(before))
    if stimulus == "setup" and Event.SETUP_EXPIRED not in driven.session._deadlines:
        wanted = Outcome(before)
    if stimulus == "retry" and Event.RETRY_DUE not in driven.session._deadlines:
        wanted = Outcome(before)
    sent = driven.apply(stimulus)

    assert driven.session.state is wanted.state
    notifications = [m for m in sent if isinstance(m, Notification)]
    assert [(m.code, m.subcode) for m in notifications] == (
        [wanted.notification] * bool(notifications)
    )
    assert bool(notifications) == (wanted.notification is not None)
    assert tuple(type(m) for m in sent if not isinstance(m, Notification)) == wanted.sends


class FsmMachine(RuleBasedStateMachine):
    """Any events in any order."""

    driven: Driven

    @initialize(passive=st.booleans())
    def begin(self, *, passive: bool) -> None:
        self.driven = Driven(passive=passive)

    @rule(stimulus=st.sampled_from(STIMULI))
    def anything(self, stimulus: str) -> None:
        check(self.driven, stimulus)
        if self.driven.stopped:
            assert self.driven.session.next_deadline() is None
            self.driven = Driven(passive=self.driven.passive)

    @rule(stimulus=st.sampled_from(["connected", "OPEN", "KEEPALIVE"]))
    def forward(self, stimulus: str) -> None:
        check(self.driven, stimulus)

    @invariant()
    def timers_fit_the_state(self) -> None:
        running = set(self.driven.session._deadlines)
        match self.driven.session.state:
            case State.IDLE:
                assert running == (set() if self.driven.passive else {Event.RETRY_DUE})
            case State.CONNECT | State.OPEN_SENT:
                assert running == {Event.SETUP_EXPIRED}
            case State.ACTIVE:
                assert running == set()
            case State.OPEN_CONFIRM:
                assert running == {Event.SETUP_EXPIRED, Event.HOLD_EXPIRED, Event.KEEPALIVE_DUE}
            case State.ESTABLISHED:
                assert running - {Event.SEND_HOLD_EXPIRED} == {
                    Event.HOLD_EXPIRED,
                    Event.KEEPALIVE_DUE,
                }

    @invariant()
    def the_connection_fits_the_state(self) -> None:
        connected = self.driven.session.state in CONNECTED_STATES
        assert self.driven.has_connection == connected
        assert self.driven.is_up == (self.driven.session.state is ESTABLISHED)


STIMULI_TO_REACH = {
    IDLE: ("connected", "connection lost"),
    CONNECT: (),
    ACTIVE: (),
    OPEN_SENT: ("connected",),
    OPEN_CONFIRM: ("connected", "OPEN"),
    ESTABLISHED: ("connected", "OPEN", "KEEPALIVE"),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("stimulus", STIMULI)
def test_every_event_in_every_state(state: State, stimulus: str) -> None:
    driven = Driven(passive=state is ACTIVE)
    for step in STIMULI_TO_REACH[state]:
        driven.apply(step)
    assert driven.session.state is state
    check(driven, stimulus)


TestFsmMachine = FsmMachine.TestCase
TestFsmMachine.settings = settings(max_examples=200, stateful_step_count=50)
