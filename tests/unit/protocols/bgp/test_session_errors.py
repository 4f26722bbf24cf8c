from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode
from metallb_py.protocols.bgp.codec.messages import Keepalive, Notification
from metallb_py.protocols.bgp.fsm import Event, State
from metallb_py.protocols.bgp.session import Cause, Transition, close_reason, notification_error


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Notification(6, 3), "got BGP notification code 0x0603 (cease: peer de-configured)"),
        ("connection refused", "connection refused"),
        (None, "no connection within 10 s"),
    ],
)
def test_close_reason_of_a_failed_connection(cause: Cause, reason: str) -> None:
    event = Event.CONNECTION_FAILED
    assert close_reason(Transition(event, State.CONNECT, 0.0, cause)) == reason


@pytest.mark.parametrize(
    ("state", "subcode"),
    [(State.OPEN_SENT, 1), (State.OPEN_CONFIRM, 2), (State.ESTABLISHED, 3)],
)
def test_unexpected_message_is_an_fsm_error_that_names_the_state(
    state: State, subcode: int
) -> None:
    error = notification_error(Transition(Event.ROUTE_REFRESH, state, 0.0, Keepalive()))
    assert (error.code, error.subcode) == (5, subcode)
    assert str(error) == f"unexpected ROUTE_REFRESH message in state {state.name}"


@pytest.mark.parametrize("event", [Event.HOLD_EXPIRED, Event.SETUP_EXPIRED])
def test_expired_hold_or_setup_timer_is_notification_4(event: Event) -> None:
    error = notification_error(Transition(event, State.OPEN_SENT, 0.0, None))
    assert (error.code, error.subcode) == (4, 0)


def test_decoding_error_is_sent_unchanged() -> None:
    error = BgpError("bad", ErrorCode.OPEN_MESSAGE, 2)
    assert notification_error(Transition(Event.MALFORMED, State.OPEN_SENT, 0.0, error)) is error
