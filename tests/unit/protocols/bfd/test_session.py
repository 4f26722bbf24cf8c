"""A session, rule by rule of RFC 5880."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from metallb_py.protocols.bfd.packet import ControlPacket, Diagnostic, State, decode
from metallb_py.protocols.bfd.session import LAST_WORDS, Session
from metallb_py.protocols.bfd.settings import (
    Effect,
    Path,
    SendControl,
    SessionDown,
    SessionUp,
    Settings,
)

PATH = Path(ip_address("10.0.0.2"))
SETTINGS = Settings(50_000, 50_000, 3)
OURS, THEIRS = 11, 22
DOWN = ControlPacket(State.DOWN, THEIRS, 0, 3, 1_000_000, 50_000)
INIT = replace(DOWN, state=State.INIT, your_discriminator=OURS)
UP = replace(INIT, state=State.UP, desired_min_tx=50_000)
ADMIN_DOWN = replace(UP, state=State.ADMIN_DOWN)


def never() -> float:
    """Take nothing off for jitter."""
    return 0.0


def a_session(settings: Settings = SETTINGS) -> Session:
    session = Session(PATH, settings, OURS, never)
    session.start(0.0)
    return session


def up(settings: Settings = SETTINGS, *, polled: bool = True) -> Session:
    """Return a session that came up at 1 s, and whose poll was answered."""
    session = a_session(settings)
    session.receive(DOWN, 1.0)
    session.receive(replace(UP, final=polled), 1.0)
    session.receive(replace(UP, final=polled), 1.0)
    assert session.state is State.UP
    return session


def sent(effects: Iterable[Effect]) -> list[ControlPacket]:
    return [decode(effect.data) for effect in effects if isinstance(effect, SendControl)]


def told(effects: Iterable[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, SendControl)]


# Section 6.2 and 6.8.6: states


def test_it_begins_with_down_and_slowly() -> None:
    session = Session(PATH, SETTINGS, OURS, never)
    (packet,) = sent(session.start(0.0))

    assert packet == ControlPacket(State.DOWN, OURS, 0, 3, 1_000_000, 50_000)
    assert session.next_deadline() == 1.0
    assert len(sent(session.handle_timeout(1.0))) == 1


@pytest.mark.parametrize(
    ("first", "packet", "becomes"),
    [
        ((), DOWN, State.INIT),
        ((), INIT, State.UP),
        ((), UP, State.DOWN),
        ((), ADMIN_DOWN, State.DOWN),
        ((DOWN,), DOWN, State.INIT),
        ((DOWN,), INIT, State.UP),
        ((DOWN,), UP, State.UP),
        ((DOWN,), ADMIN_DOWN, State.DOWN),
        ((DOWN, UP), INIT, State.UP),
        ((DOWN, UP), UP, State.UP),
        ((DOWN, UP), DOWN, State.DOWN),
        ((DOWN, UP), ADMIN_DOWN, State.DOWN),
    ],
)
def test_the_state_machine(
    first: tuple[ControlPacket, ...], packet: ControlPacket, becomes: State
) -> None:
    session = a_session()
    for one in first:
        session.receive(one, 1.0)
    session.receive(packet, 1.0)

    assert session.state is becomes


def test_a_change_of_state_is_told_at_once_and_to_the_driver_once() -> None:
    session = a_session()
    (packet,) = sent(session.receive(DOWN, 0.1))
    assert (packet.state, packet.your_discriminator) == (State.INIT, THEIRS)

    effects = session.receive(UP, 0.2)
    assert told(effects) == [SessionUp(PATH)]
    assert sent(effects)[0].state is State.UP
    assert told(session.receive(UP, 0.3)) == []


def test_a_peer_that_hears_us_no_longer() -> None:
    effects = up().receive(replace(DOWN, your_discriminator=OURS), 1.1)

    assert told(effects) == [SessionDown(PATH, Diagnostic.NEIGHBOR_SIGNALED_DOWN)]
    assert sent(effects)[0].diagnostic == Diagnostic.NEIGHBOR_SIGNALED_DOWN


def test_a_peer_whose_operator_ended_it() -> None:
    assert told(up().receive(ADMIN_DOWN, 1.1)) == [
        SessionDown(PATH, Diagnostic.NEIGHBOR_SIGNALED_DOWN, on_purpose=True)
    ]


def test_who_ends_it_on_purpose_says_so_and_listens_no_more() -> None:
    session = up()
    effects = session.stop(2.0)

    assert told(effects) == []
    assert [(p.state, p.diagnostic) for p in sent(effects)] == [
        (State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN)
    ] * LAST_WORDS
    assert session.receive(DOWN, 2.1) == ()
    assert session.state is State.ADMIN_DOWN


# Section 6.8.4: detection


def test_silence_for_the_detection_time_brings_it_down() -> None:
    session = up()
    assert session.detection_time == pytest.approx(0.15)
    session.receive(UP, 2.0)

    assert told(session.handle_timeout(2.149)) == []
    effects = session.handle_timeout(2.151)
    assert told(effects) == [SessionDown(PATH, Diagnostic.DETECTION_TIME_EXPIRED)]
    (packet,) = sent(effects)
    assert (packet.state, packet.diagnostic) == (State.DOWN, Diagnostic.DETECTION_TIME_EXPIRED)
    assert packet.desired_min_tx == 1_000_000
    assert session.next_deadline() == pytest.approx(3.151)
    # Section 6.8.1: after a detection time of silence we no longer know who the other is.
    (packet,) = sent(session.handle_timeout(3.2))
    assert packet.your_discriminator == 0


def test_silence_in_init_leads_back_to_down_without_a_word_to_the_driver() -> None:
    session = a_session()
    session.receive(DOWN, 1.0)

    assert told(session.handle_timeout(4.01)) == []
    assert session.state is State.DOWN


@pytest.mark.parametrize(
    ("their_interval", "their_multiplier", "seconds"),
    [(50_000, 3, 0.15), (50_000, 5, 0.25), (200_000, 3, 0.6), (10_000, 3, 0.15)],
)
def test_the_detection_time_is_theirs_times_the_slower(
    their_interval: int, their_multiplier: int, seconds: float
) -> None:
    session = up()
    session.receive(
        replace(UP, desired_min_tx=their_interval, detect_multiplier=their_multiplier), 2.0
    )

    assert session.detection_time == pytest.approx(seconds)


# Section 6.8.7: sending


@pytest.mark.parametrize(("their_receive", "interval"), [(20_000, 0.05), (400_000, 0.4)])
def test_it_sends_at_the_slower_of_what_both_want(their_receive: int, interval: float) -> None:
    session = up()
    session.receive(replace(UP, required_min_rx=their_receive, desired_min_tx=9_000_000), 1.0)
    session.handle_timeout(3.0)

    assert session.next_deadline() == pytest.approx(3.0 + interval)


@pytest.mark.parametrize(
    ("multiplier", "chance", "part"),
    [(3, 0.0, 1.0), (3, 0.999999, 0.75), (1, 0.0, 0.9), (1, 0.999999, 0.75)],
)
def test_jitter_takes_up_to_a_quarter_off(multiplier: int, chance: float, part: float) -> None:
    session = Session(PATH, replace(SETTINGS, detect_multiplier=multiplier), OURS, lambda: chance)
    session.start(0.0)

    assert session.next_deadline() == pytest.approx(part, rel=1e-4)


def test_a_peer_that_wants_no_packets_gets_none() -> None:
    session = up()
    session.receive(replace(UP, required_min_rx=0, desired_min_tx=9_000_000), 1.5)

    assert sent(session.handle_timeout(9.0)) == []


def test_a_peer_in_demand_mode_gets_none_while_both_are_up() -> None:
    session = up()
    session.receive(replace(UP, demand=True, desired_min_tx=9_000_000), 1.5)
    assert sent(session.handle_timeout(9.0)) == []

    session.receive(replace(UP, demand=False, desired_min_tx=9_000_000), 9.0)
    assert sent(session.handle_timeout(9.1)) != []


def test_the_passive_side_waits_for_the_other() -> None:
    session = Session(PATH, replace(SETTINGS, passive=True), OURS, never)
    assert session.start(0.0) == ()
    assert session.next_deadline() is None

    assert [p.state for p in sent(session.receive(DOWN, 5.0))] == [State.INIT]


# Sections 6.5 and 6.8.3: poll sequences


def test_a_poll_is_answered_at_once_and_without_a_poll() -> None:
    session = up(polled=False)
    (answer,) = sent(session.receive(replace(UP, poll=True), 1.01))

    assert answer.final
    assert not answer.poll


def test_an_answer_does_not_put_the_next_packet_off() -> None:
    session = up()
    session.handle_timeout(1.05)
    session.receive(replace(UP, poll=True), 1.06)
    session.receive(replace(UP, poll=True), 1.09)

    assert session.next_deadline() == pytest.approx(1.10)


def test_coming_up_its_faster_interval_is_polled_for() -> None:
    session = a_session()
    session.receive(DOWN, 1.0)
    (packet,) = sent(session.receive(UP, 1.0))
    assert packet.poll
    assert packet.desired_min_tx == 50_000
    session.receive(UP, 1.01)
    assert sent(session.handle_timeout(1.06))[0].poll

    session.receive(replace(UP, final=True), 1.07)
    assert not sent(session.handle_timeout(1.12))[0].poll


def test_sending_less_often_waits_until_the_peer_knows() -> None:
    session = up()
    session.handle_timeout(1.05)
    session.retune(replace(SETTINGS, transmit_interval=400_000), 1.06)
    (packet,) = sent(session.handle_timeout(1.10))
    assert packet.poll
    assert packet.desired_min_tx == 400_000
    session.receive(UP, 1.11)
    assert session.next_deadline() == pytest.approx(1.15)

    session.receive(replace(UP, final=True, desired_min_tx=900_000), 1.12)
    assert session.next_deadline() == pytest.approx(1.10 + 0.4)


def test_hearing_more_often_is_expected_once_the_peer_knows() -> None:
    session = up(replace(SETTINGS, receive_interval=400_000))
    assert session.detection_time == pytest.approx(1.2)
    session.retune(SETTINGS, 1.1)
    assert session.detection_time == pytest.approx(1.2)

    session.receive(replace(UP, final=True), 1.2)
    assert session.detection_time == pytest.approx(0.15)


def test_hearing_less_often_is_put_up_with_at_once() -> None:
    session = up()
    session.retune(replace(SETTINGS, receive_interval=400_000), 1.01)

    assert session.detection_time == pytest.approx(1.2)
    assert session.state is State.UP


def test_a_change_during_a_poll_has_a_poll_of_its_own() -> None:
    session = up()
    session.retune(replace(SETTINGS, transmit_interval=200_000), 1.01)
    session.retune(replace(SETTINGS, transmit_interval=400_000), 1.02)
    session.receive(replace(UP, final=True), 1.03)
    assert sent(session.handle_timeout(1.06))[0].poll

    session.receive(replace(UP, final=True), 1.07)
    assert not any(packet.poll for packet in sent(session.handle_timeout(9.0))[-1:])


def test_a_final_that_nobody_asked_for_changes_nothing() -> None:
    session = up()
    before = session.detection_time
    session.receive(replace(UP, final=True), 1.02)

    assert session.detection_time == before


def test_a_faster_rate_that_the_peer_allows_begins_at_once() -> None:
    session = up()
    session.receive(replace(UP, required_min_rx=2_000_000, desired_min_tx=9_000_000), 1.01)
    session.handle_timeout(3.02)
    assert session.next_deadline() == pytest.approx(5.02)
    session.receive(replace(UP, desired_min_tx=9_000_000), 3.04)

    assert session.next_deadline() == pytest.approx(3.07)


def test_what_it_counts() -> None:
    session = up()
    session.receive(DOWN, 1.1)
    session.receive(INIT, 1.2)

    counts = session.counts
    assert (counts.control_in, counts.ups, counts.downs) == (5, 2, 1)
    assert counts.control_out == 5


@pytest.mark.parametrize("echo", [True, False])
def test_echo_is_offered_where_the_profile_has_it(echo: bool) -> None:
    session = Session(PATH, replace(SETTINGS, echo=echo, echo_interval=70_000), OURS, never)

    assert sent(session.start(0.0))[0].required_min_echo_rx == (70_000 if echo else 0)
