"""The finite state machine of a BGP session, as a table (RFC 4271 section 8).

Theory of operation. A session is in one state. Every input is one of a closed set of events, and
``TABLE`` contains for each pair of state and event the action and the next state. An action is only
a name here; ``session`` performs it. So this module has no memory, no bytes and no clock, and the
table can be read, and tested, as the specification.

Deliberate deviations from RFC 4271:

- Idle with the retry timer running is the RFC's Idle with ``IdleHoldTimer`` (DampPeerOscillations):
  after a failure the delay grows, as MetalLB's does.
- One timer, SETUP, covers TCP connect and the exchange of OPENs, where the RFC has the
  ConnectRetryTimer and a large hold time: an attempt at a router that accepts the connection and
  then sends nothing ends as soon as one at a router that does not answer.
- A passive session opens no connection: it waits in Active at first, and in Idle after a failure.
- An incoming connection is accepted in Idle, too, since it proves that the peer is reachable. One
  that comes in while there is a connection already is handled by ``connections``.
- Pairs that the table does not contain: a message in the wrong state is answered with a
  NOTIFICATION, any other event that has no meaning in a state changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class State(Enum):
    """States of a session (RFC 4271 section 8.2.2)."""

    IDLE = auto()
    CONNECT = auto()
    ACTIVE = auto()
    OPEN_SENT = auto()
    OPEN_CONFIRM = auto()
    ESTABLISHED = auto()


class Event(Enum):
    """Inputs of a session. Comments: number and name of the event in RFC 4271 section 8.1."""

    START = auto()  # 1 ManualStart
    START_PASSIVE = auto()  # 4 ManualStart_with_PassiveTcpEstablishment
    STOP = auto()  # 2 ManualStop
    RETRY_DUE = auto()  # 13 IdleHoldTimer_Expires
    SETUP_EXPIRED = auto()  # 9 ConnectRetryTimer_Expires, and 10 before Established
    HOLD_EXPIRED = auto()  # 10 HoldTimer_Expires
    SEND_HOLD_EXPIRED = auto()  # SendHoldTimer_Expires (RFC 9687)
    BFD_DOWN = auto()  # RFC 5882 section 10.2
    KEEPALIVE_DUE = auto()  # 11 KeepaliveTimer_Expires
    CONNECTED = auto()  # 16 Tcp_CR_Acked, 17 TcpConnectionConfirmed
    COLLISION_LOST = auto()  # 23 OpenCollisionDump
    CONNECTION_FAILED = auto()  # 18 TcpConnectionFails
    OPEN = auto()  # 19 BGPOpen
    MALFORMED = auto()  # 21 BGPHeaderErr, 22 BGPOpenMsgErr, 28 UpdateMsgErr
    NOTIFICATION = auto()  # 24 NotifMsgVerErr, 25 NotifMsg
    KEEPALIVE = auto()  # 26 KeepAliveMsg
    UPDATE = auto()  # 27 UpdateMsg
    ROUTE_REFRESH = auto()  # RFC 2918


MESSAGES = frozenset({Event.OPEN, Event.KEEPALIVE, Event.UPDATE, Event.ROUTE_REFRESH})
"""Events caused by a well-formed message other than NOTIFICATION."""


class Action(Enum):
    """Actions of a session on a transition to the next state."""

    NOTHING = auto()
    DIAL = auto()
    """Request a TCP connection and start the setup timer."""
    SEND_OPEN = auto()
    """Send OPEN on the new connection."""
    ACCEPT_OPEN = auto()
    """Negotiate the session, answer with KEEPALIVE, start hold and keepalive timers."""
    ESTABLISH = auto()
    """Report the session as established and start to advertise routes."""
    REFRESH_HOLD = auto()
    """Restart the HoldTimer."""
    HANDLE_UPDATE = auto()
    """Restart the HoldTimer and report the UPDATE."""
    RESEND_ROUTES = auto()
    """Restart the HoldTimer and advertise all routes of the requested family again."""
    SEND_KEEPALIVE = auto()
    """Send KEEPALIVE and restart the KeepaliveTimer."""
    CLOSE = auto()
    """Close the connection, if any, without NOTIFICATION; retry later."""
    NOTIFY_AND_CLOSE = auto()
    """Send a NOTIFICATION with the error, then close the connection; retry later."""
    CEASE = auto()
    """Send a Cease for the operator's shutdown, then close the connection; do not retry."""
    STOP = auto()
    """Close the connection, if any, without NOTIFICATION; do not retry."""


@dataclass(frozen=True, slots=True)
class Step:
    """Next state and action of a transition."""

    next_state: State
    action: Action


def _connected_state(
    state: State, expected: dict[Event, Step], /
) -> dict[tuple[State, Event], Step]:
    """Return the steps of a state with an open connection: ``expected``, else the common ones."""
    common = {
        Event.STOP: Step(State.IDLE, Action.CEASE),
        Event.COLLISION_LOST: Step(State.IDLE, Action.NOTIFY_AND_CLOSE),
        Event.CONNECTION_FAILED: Step(State.IDLE, Action.CLOSE),
        Event.MALFORMED: Step(State.IDLE, Action.NOTIFY_AND_CLOSE),
        Event.NOTIFICATION: Step(State.IDLE, Action.CLOSE),
        Event.SETUP_EXPIRED: Step(State.IDLE, Action.NOTIFY_AND_CLOSE),
        Event.HOLD_EXPIRED: Step(State.IDLE, Action.NOTIFY_AND_CLOSE),
        Event.SEND_HOLD_EXPIRED: Step(State.IDLE, Action.NOTIFY_AND_CLOSE),
        Event.BFD_DOWN: Step(State.IDLE, Action.NOTIFY_AND_CLOSE),
        **{message: Step(State.IDLE, Action.NOTIFY_AND_CLOSE) for message in MESSAGES},
    }
    return {(state, event): step for event, step in (common | expected).items()}


TABLE: dict[tuple[State, Event], Step] = {
    (State.IDLE, Event.START): Step(State.CONNECT, Action.DIAL),
    (State.IDLE, Event.START_PASSIVE): Step(State.ACTIVE, Action.NOTHING),
    (State.IDLE, Event.RETRY_DUE): Step(State.CONNECT, Action.DIAL),
    (State.IDLE, Event.CONNECTED): Step(State.OPEN_SENT, Action.SEND_OPEN),
    (State.IDLE, Event.STOP): Step(State.IDLE, Action.STOP),
    (State.CONNECT, Event.CONNECTED): Step(State.OPEN_SENT, Action.SEND_OPEN),
    (State.CONNECT, Event.CONNECTION_FAILED): Step(State.IDLE, Action.CLOSE),
    (State.CONNECT, Event.SETUP_EXPIRED): Step(State.IDLE, Action.CLOSE),
    (State.CONNECT, Event.COLLISION_LOST): Step(State.IDLE, Action.STOP),
    (State.CONNECT, Event.STOP): Step(State.IDLE, Action.STOP),
    (State.ACTIVE, Event.CONNECTED): Step(State.OPEN_SENT, Action.SEND_OPEN),
    (State.ACTIVE, Event.STOP): Step(State.IDLE, Action.STOP),
    **_connected_state(
        State.OPEN_SENT,
        {Event.OPEN: Step(State.OPEN_CONFIRM, Action.ACCEPT_OPEN)},
    ),
    **_connected_state(
        State.OPEN_CONFIRM,
        {
            Event.KEEPALIVE: Step(State.ESTABLISHED, Action.ESTABLISH),
            Event.KEEPALIVE_DUE: Step(State.OPEN_CONFIRM, Action.SEND_KEEPALIVE),
        },
    ),
    **_connected_state(
        State.ESTABLISHED,
        {
            Event.KEEPALIVE: Step(State.ESTABLISHED, Action.REFRESH_HOLD),
            Event.UPDATE: Step(State.ESTABLISHED, Action.HANDLE_UPDATE),
            Event.ROUTE_REFRESH: Step(State.ESTABLISHED, Action.RESEND_ROUTES),
            Event.KEEPALIVE_DUE: Step(State.ESTABLISHED, Action.SEND_KEEPALIVE),
        },
    ),
}


def step(state: State, event: Event) -> Step:
    """Return the step for an event in a state. Total: without an entry nothing changes."""
    return TABLE.get((state, event), Step(state, Action.NOTHING))
