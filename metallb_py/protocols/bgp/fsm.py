"""The finite state machine of a BGP session, as a table (RFC 4271 section 8).

Theory of operation. A session is in one state. Whatever happens to it is one of a closed set of
events, and ``TABLE`` says for each pair what to do and where that leads. What is to be done is a
name here; ``session`` knows how. So this module has no memory, no bytes and no clock, and the
table can be read, and tested, as the specification.

How it differs from the RFC's own text, on purpose:

- Idle with the retry timer running is the RFC's Idle with ``IdleHoldTimer`` (DampPeerOscillations):
  after a failure the delay grows, as MetalLB's does.
- One timer, SETUP, covers TCP connect and the exchange of OPENs, where the RFC has the connect
  retry timer and a large hold time: a router that accepts and then stays mute is given up as
  fast as one that does not answer.
- A passive session never dials: it waits in Active at first, and in Idle after a failure.
- A connection that comes in is welcome in Idle, too: the peer is there now. What comes in when
  there is a connection already is the business of ``collision``.
- Pairs that the table does not name cannot mend: a message in the wrong state is refused with a
  NOTIFICATION, anything else that makes no sense in a state changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class State(Enum):
    """Where a session stands."""

    IDLE = auto()
    CONNECT = auto()
    ACTIVE = auto()
    OPEN_SENT = auto()
    OPEN_CONFIRM = auto()
    ESTABLISHED = auto()


class Event(Enum):
    """What can happen to a session. Numbers in the comments are those of RFC 4271 section 8.1."""

    START = auto()  # 1
    START_PASSIVE = auto()  # 4
    STOP = auto()  # 2
    RETRY_DUE = auto()  # 13
    SETUP_EXPIRED = auto()  # 9, and 10 before Established
    HOLD_EXPIRED = auto()  # 10
    SEND_HOLD_EXPIRED = auto()  # RFC 9687
    BFD_DOWN = auto()  # RFC 5882 section 10.2
    KEEPALIVE_DUE = auto()  # 11
    CONNECTED = auto()  # 16, 17
    COLLISION_LOST = auto()  # 23
    CONNECTION_FAILED = auto()  # 18
    OPEN = auto()  # 19
    MALFORMED = auto()  # 21, 22, 28
    NOTIFICATION = auto()  # 24, 25
    KEEPALIVE = auto()  # 26
    UPDATE = auto()  # 27
    ROUTE_REFRESH = auto()  # RFC 2918


MESSAGES = frozenset({Event.OPEN, Event.KEEPALIVE, Event.UPDATE, Event.ROUTE_REFRESH})
"""Events that a well-formed message makes, other than NOTIFICATION."""


class Action(Enum):
    """What a session does on the way to its next state."""

    NOTHING = auto()
    DIAL = auto()
    """Ask for a TCP connection and start the setup timer."""
    SEND_OPEN = auto()
    """Introduce ourselves on the new connection."""
    ACCEPT_OPEN = auto()
    """Settle the session's terms, answer with KEEPALIVE, start hold and keepalive timers."""
    ESTABLISH = auto()
    """Routes may flow."""
    REFRESH_HOLD = auto()
    """The peer is alive."""
    TAKE_UPDATE = auto()
    """The peer is alive, and has routes."""
    RESEND_ROUTES = auto()
    """The peer wants all our routes again."""
    SEND_KEEPALIVE = auto()
    HANG_UP = auto()
    """Close the connection, if any, without a word; try again later."""
    REFUSE = auto()
    """Tell the peer why in a NOTIFICATION, then hang up; try again later."""
    CEASE = auto()
    """Tell the peer that this was the operator's wish, then hang up for good."""
    RETIRE = auto()
    """Hang up without a word, for good."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an event leads to."""

    next_state: State
    action: Action


def _conversation(state: State, expected: dict[Event, Step], /) -> dict[tuple[State, Event], Step]:
    """Fill in what holds in every state with an open connection."""
    common = {
        Event.STOP: Step(State.IDLE, Action.CEASE),
        Event.COLLISION_LOST: Step(State.IDLE, Action.REFUSE),
        Event.CONNECTION_FAILED: Step(State.IDLE, Action.HANG_UP),
        Event.MALFORMED: Step(State.IDLE, Action.REFUSE),
        Event.NOTIFICATION: Step(State.IDLE, Action.HANG_UP),
        Event.SETUP_EXPIRED: Step(State.IDLE, Action.REFUSE),
        Event.HOLD_EXPIRED: Step(State.IDLE, Action.REFUSE),
        Event.SEND_HOLD_EXPIRED: Step(State.IDLE, Action.REFUSE),
        Event.BFD_DOWN: Step(State.IDLE, Action.REFUSE),
        **{message: Step(State.IDLE, Action.REFUSE) for message in MESSAGES},
    }
    return {(state, event): step for event, step in (common | expected).items()}


TABLE: dict[tuple[State, Event], Step] = {
    (State.IDLE, Event.START): Step(State.CONNECT, Action.DIAL),
    (State.IDLE, Event.START_PASSIVE): Step(State.ACTIVE, Action.NOTHING),
    (State.IDLE, Event.RETRY_DUE): Step(State.CONNECT, Action.DIAL),
    (State.IDLE, Event.CONNECTED): Step(State.OPEN_SENT, Action.SEND_OPEN),
    (State.IDLE, Event.STOP): Step(State.IDLE, Action.RETIRE),
    (State.CONNECT, Event.CONNECTED): Step(State.OPEN_SENT, Action.SEND_OPEN),
    (State.CONNECT, Event.CONNECTION_FAILED): Step(State.IDLE, Action.HANG_UP),
    (State.CONNECT, Event.SETUP_EXPIRED): Step(State.IDLE, Action.HANG_UP),
    (State.CONNECT, Event.COLLISION_LOST): Step(State.IDLE, Action.RETIRE),
    (State.CONNECT, Event.STOP): Step(State.IDLE, Action.RETIRE),
    (State.ACTIVE, Event.CONNECTED): Step(State.OPEN_SENT, Action.SEND_OPEN),
    (State.ACTIVE, Event.STOP): Step(State.IDLE, Action.RETIRE),
    **_conversation(
        State.OPEN_SENT,
        {Event.OPEN: Step(State.OPEN_CONFIRM, Action.ACCEPT_OPEN)},
    ),
    **_conversation(
        State.OPEN_CONFIRM,
        {
            Event.KEEPALIVE: Step(State.ESTABLISHED, Action.ESTABLISH),
            Event.KEEPALIVE_DUE: Step(State.OPEN_CONFIRM, Action.SEND_KEEPALIVE),
        },
    ),
    **_conversation(
        State.ESTABLISHED,
        {
            Event.KEEPALIVE: Step(State.ESTABLISHED, Action.REFRESH_HOLD),
            Event.UPDATE: Step(State.ESTABLISHED, Action.TAKE_UPDATE),
            Event.ROUTE_REFRESH: Step(State.ESTABLISHED, Action.RESEND_ROUTES),
            Event.KEEPALIVE_DUE: Step(State.ESTABLISHED, Action.SEND_KEEPALIVE),
        },
    ),
}


def step(state: State, event: Event) -> Step:
    """Look up what an event leads to. Total: where the table is silent, nothing changes."""
    return TABLE.get((state, event), Step(state, Action.NOTHING))
