from __future__ import annotations

from itertools import product

import pytest

from metallb_py.protocols.bgp.fsm import MESSAGES, TABLE, Action, Event, State, Step, step

WITH_CONNECTION = (State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED)


def test_an_active_session_on_its_straight_way() -> None:
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
        Action.TAKE_UPDATE,
        Action.REFRESH_HOLD,
        Action.CEASE,
    ]


def test_a_passive_session_waits_and_never_dials() -> None:
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
def test_a_message_that_the_state_does_not_expect_ends_the_session(
    state: State, expected: set[Event]
) -> None:
    for message in MESSAGES - expected:
        assert step(state, message) == Step(State.IDLE, Action.REFUSE)
    for message in expected:
        assert step(state, message).action is not Action.REFUSE


@pytest.mark.parametrize("state", WITH_CONNECTION)
@pytest.mark.parametrize(
    ("event", "action"),
    [
        (Event.MALFORMED, Action.REFUSE),
        (Event.HOLD_EXPIRED, Action.REFUSE),
        (Event.BFD_DOWN, Action.REFUSE),
        (Event.SETUP_EXPIRED, Action.REFUSE),
        (Event.NOTIFICATION, Action.HANG_UP),  # never answered: RFC 4271 section 6.4
        (Event.CONNECTION_FAILED, Action.HANG_UP),
        (Event.STOP, Action.CEASE),
    ],
)
def test_what_ends_a_conversation_in_every_state(
    state: State, event: Event, action: Action
) -> None:
    assert step(state, event) == Step(State.IDLE, action)


@pytest.mark.parametrize("state", [State.IDLE, State.CONNECT, State.ACTIVE])
def test_nothing_is_ever_said_without_a_connection(state: State) -> None:
    silent = {
        Action.NOTHING,
        Action.DIAL,
        Action.SEND_OPEN,
        Action.HANG_UP,
        Action.RETIRE,
    }
    assert {step(state, event).action for event in Event} <= silent


def test_stop_leads_home_from_everywhere() -> None:
    assert {step(state, Event.STOP).next_state for state in State} == {State.IDLE}


def test_every_state_and_event_has_an_answer_and_every_action_a_use() -> None:
    answers = {pair: step(*pair) for pair in product(State, Event)}

    assert {taken.action for taken in answers.values()} == set(Action)
    assert all(
        taken.next_state is state
        for (state, _), taken in answers.items()
        if taken.action is Action.NOTHING
        and (state, taken.next_state) != (State.IDLE, State.ACTIVE)
    )
