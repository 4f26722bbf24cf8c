"""An event of a session as its actions see it, and the words for those that end it."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.protocols.bgp.cease import Farewell
from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode, StateMachineError
from metallb_py.protocols.bgp.codec.messages import Message, Notification
from metallb_py.protocols.bgp.fsm import Event, State

SETUP_TIME = 10.0
"""Seconds for TCP connect and the exchange of OPENs together, as in MetalLB.

A session that falls within as much time of coming up counts as another failed attempt, so that
a router which accepts us only to refuse our routes is not dialled in a tight loop.
"""

SEND_HOLD_TIME = 480.0
"""Seconds that a peer may take nothing from us, and more where the hold time is half of that or
longer (RFC 9687 section 6)."""

Cause = Message | BgpError | Farewell | str | None
"""What an event comes with: the message, what was wrong with it, or what else happened."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An event, in which state it came, and when."""

    event: Event
    state: State
    now: float
    cause: Cause


_UNEXPECTED = {
    State.OPEN_SENT: StateMachineError.IN_OPEN_SENT,
    State.OPEN_CONFIRM: StateMachineError.IN_OPEN_CONFIRM,
    State.ESTABLISHED: StateMachineError.IN_ESTABLISHED,
}


def reason_of(moment: Moment) -> str:
    """Say why a connection is no more, where nobody is to be told."""
    match moment.cause:
        case Notification():
            return f"got {moment.cause}"
        case str():
            return moment.cause
        case _:
            return f"no connection within {SETUP_TIME:g} s"


def complaint_about(moment: Moment) -> BgpError:
    """What the peer did wrong, as the NOTIFICATION to answer it with."""
    if isinstance(moment.cause, BgpError):
        return moment.cause
    if moment.event is Event.SETUP_EXPIRED:
        return BgpError(f"no session within {SETUP_TIME:g} s", ErrorCode.HOLD_TIMER_EXPIRED)
    if moment.event is Event.HOLD_EXPIRED:
        return BgpError("hold timer expired: peer is silent", ErrorCode.HOLD_TIMER_EXPIRED)
    if moment.event is Event.SEND_HOLD_EXPIRED:
        return BgpError("peer reads nothing any more", ErrorCode.SEND_HOLD_TIMER_EXPIRED)
    return BgpError(
        f"unexpected {moment.event.name} message in state {moment.state.name}",
        ErrorCode.FINITE_STATE_MACHINE,
        _UNEXPECTED[moment.state],
    )
