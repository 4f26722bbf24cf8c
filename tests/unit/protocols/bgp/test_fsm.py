from __future__ import annotations

from itertools import product

import pytest

from metallb_py.protocols.bgp.fsm import MESSAGES, TABLE, Action, Event, State, Step, step

WITH_CONNECTION = (State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED)


def test_active_session_from_start_to_cease() -> None:
    state = State.IDLE
    actions = []
    for event in (
        Event.START,
        Event.CONNECTED,
        Event.OPEN,
        Event.KEEPALIVE,
        Event.UPDATE,
        Event.KEEPALIVE,
        Event.STOP,
    ):
        taken = step(state, event)
        state = taken.next_state
        actions.append(taken.action)

    assert state is State.IDLE
    assert actions == [
        Action.DIAL,
        Action.SEND_OPEN,
        Action.ACCEPT_OPEN,
        Action.ESTABLISH,
        Action.HANDLE_UPDATE,
        Action.REFRESH_HOLD,
        Action.CEASE,
    ]


def test_passive_session_waits_and_never_connects() -> None:
    assert step(State.IDLE, Event.START_PASSIVE) == Step(State.ACTIVE, Action.NOTHING)
    assert step(State.ACTIVE, Event.CONNECTED) == Step(State.OPEN_SENT, Action.SEND_OPEN)
    assert not any(
        taken.action is Action.DIAL for (state, _), taken in TABLE.items() if state is State.ACTIVE
    )


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.OPEN_SENT, {Event.OPEN}),
        (State.OPEN_CONFIRM, {Event.KEEPALIVE}),
        (State.ESTABLISHED, {Event.KEEPALIVE, Event.UPDATE, Event.ROUTE_REFRESH}),
    ],
)
def test_unexpected_message_sends_notification_and_ends_the_session(
    state: State, expected: set[Event]
) -> None:
    for message in MESSAGES - expected:
        assert step(state, message) == Step(State.IDLE, Action.NOTIFY_AND_CLOSE)
    for message in expected:
        assert step(state, message).action is not Action.NOTIFY_AND_CLOSE


@pytest.mark.parametrize("state", WITH_CONNECTION)
@pytest.mark.parametrize(
    ("event", "action"),
    [
        (Event.MALFORMED, Action.NOTIFY_AND_CLOSE),
        (Event.HOLD_EXPIRED, Action.NOTIFY_AND_CLOSE),
        (Event.BFD_DOWN, Action.NOTIFY_AND_CLOSE),
        (Event.SETUP_EXPIRED, Action.NOTIFY_AND_CLOSE),
        (Event.NOTIFICATION, Action.CLOSE),  # never answered: RFC 4271 section 6.4
        (Event.CONNECTION_FAILED, Action.CLOSE),
        (Event.STOP, Action.CEASE),
    ],
)
def test_events_that_end_the_session_in_every_connected_state(
    state: State, event: Event, action: Action
) -> None:
    assert step(state, event) == Step(State.IDLE, action)


@pytest.mark.parametrize("state", [State.IDLE, State.CONNECT, State.ACTIVE])
def test_no_message_but_open_is_sent_without_a_connection(state: State) -> None:
    allowed = {
        Action.NOTHING,
        Action.DIAL,
        Action.SEND_OPEN,
        Action.CLOSE,
        Action.STOP,
    }
    assert {step(state, event).action for event in Event} <= allowed


def test_stop_leads_to_idle_from_every_state() -> None:
    assert {step(state, Event.STOP).next_state for state in State} == {State.IDLE}


def test_every_state_handles_every_event_and_every_action_is_used() -> None:
    steps = {pair: step(*pair) for pair in product(State, Event)}

    assert {taken.action for taken in steps.values()} == set(Action)
    assert all(
        taken.next_state is state
        for (state, _), taken in steps.items()
        if taken.action is Action.NOTHING
        and (state, taken.next_state) != (State.IDLE, State.ACTIVE)
    )
