from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode
from metallb_py.protocols.bgp.codec.messages import Keepalive, Notification
from metallb_py.protocols.bgp.fsm import Event, State
from metallb_py.protocols.bgp.moment import Cause, Moment, complaint_about, reason_of


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Notification(6, 3), "got BGP notification code 0x0603 (cease: peer de-configured)"),
        ("connection refused", "connection refused"),
        (None, "no connection within 10 s"),
    ],
)
def test_why_a_connection_is_no_more(cause: Cause, reason: str) -> None:
    event = Event.CONNECTION_FAILED
    assert reason_of(Moment(event, State.CONNECT, 0.0, cause)) == reason


@pytest.mark.parametrize(
    ("state", "subcode"),
    [(State.OPEN_SENT, 1), (State.OPEN_CONFIRM, 2), (State.ESTABLISHED, 3)],
)
def test_a_message_that_the_state_does_not_expect(state: State, subcode: int) -> None:
    error = complaint_about(Moment(Event.ROUTE_REFRESH, state, 0.0, Keepalive()))
    assert (error.code, error.subcode) == (5, subcode)
    assert str(error) == f"unexpected ROUTE_REFRESH message in state {state.name}"


@pytest.mark.parametrize("event", [Event.HOLD_EXPIRED, Event.SETUP_EXPIRED])
def test_silence(event: Event) -> None:
    error = complaint_about(Moment(event, State.OPEN_SENT, 0.0, None))
    assert (error.code, error.subcode) == (4, 0)


def test_a_decoders_complaint_stands() -> None:
    error = BgpError("bad", ErrorCode.OPEN_MESSAGE, 2)
    assert complaint_about(Moment(Event.MALFORMED, State.OPEN_SENT, 0.0, error)) is error
