"""A BFD session, rule by rule of RFC 5880."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from metallb_py.protocols.bfd.packet import ControlPacket, Diagnostic, State, decode
from metallb_py.protocols.bfd.session import ADMIN_DOWN_TRANSMISSIONS, Session
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


def no_jitter() -> float:
    """Return 0.0, which leaves intervals unjittered."""
    return 0.0


def started(settings: Settings = SETTINGS) -> Session:
    session = Session(PATH, settings, OURS, no_jitter)
    session.start(0.0)
    return session


def up(settings: Settings = SETTINGS, *, polled: bool = True) -> Session:
    """Return a session that went Up at 1 s; ``polled``: its poll sequence is complete."""
    session = started(settings)
    session.receive(DOWN, 1.0)
    session.receive(replace(UP, final=polled), 1.0)
    session.receive(replace(UP, final=polled), 1.0)
    assert session.state is State.UP
    return session


def sent(effects: Iterable[Effect]) -> list[ControlPacket]:
    return [decode(effect.data) for effect in effects if isinstance(effect, SendControl)]


def reported(effects: Iterable[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, SendControl)]


# Sections 6.2 and 6.8.6: states


def test_initial_state_is_down_at_one_packet_a_second() -> None:
    session = Session(PATH, SETTINGS, OURS, no_jitter)
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
def test_state_machine_of_rfc_5880_section_6_8_6(
    first: tuple[ControlPacket, ...], packet: ControlPacket, becomes: State
) -> None:
    session = started()
    for one in first:
        session.receive(one, 1.0)
    session.receive(packet, 1.0)

    assert session.state is becomes


def test_state_change_is_sent_at_once_and_reported_once() -> None:
    session = started()
    (packet,) = sent(session.receive(DOWN, 0.1))
    assert (packet.state, packet.your_discriminator) == (State.INIT, THEIRS)

    effects = session.receive(UP, 0.2)
    assert reported(effects) == [SessionUp(PATH)]
    assert sent(effects)[0].state is State.UP
    assert reported(session.receive(UP, 0.3)) == []


def test_neighbor_signaled_down_takes_the_session_down() -> None:
    effects = up().receive(replace(DOWN, your_discriminator=OURS), 1.1)

    assert reported(effects) == [SessionDown(PATH, Diagnostic.NEIGHBOR_SIGNALED_DOWN)]
    assert sent(effects)[0].diagnostic == Diagnostic.NEIGHBOR_SIGNALED_DOWN


def test_admin_down_of_the_peer_takes_the_session_down() -> None:
    assert reported(up().receive(ADMIN_DOWN, 1.1)) == [
        SessionDown(PATH, Diagnostic.NEIGHBOR_SIGNALED_DOWN, peer_admin_down=True)
    ]


def test_stop_sends_admin_down_and_ignores_later_packets() -> None:
    session = up()
    effects = session.stop(2.0)

    assert reported(effects) == []
    assert [(p.state, p.diagnostic) for p in sent(effects)] == [
        (State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN)
    ] * ADMIN_DOWN_TRANSMISSIONS
    assert session.receive(DOWN, 2.1) == ()
    assert session.state is State.ADMIN_DOWN


# Section 6.8.4: detection


def test_detection_time_expiry_takes_the_session_down() -> None:
    session = up()
    assert session.detection_time == pytest.approx(0.15)
    session.receive(UP, 2.0)

    assert reported(session.handle_timeout(2.149)) == []
    effects = session.handle_timeout(2.151)
    assert reported(effects) == [SessionDown(PATH, Diagnostic.DETECTION_TIME_EXPIRED)]
    (packet,) = sent(effects)
    assert (packet.state, packet.diagnostic) == (State.DOWN, Diagnostic.DETECTION_TIME_EXPIRED)
    assert packet.desired_min_tx == 1_000_000
    assert session.next_deadline() == pytest.approx(3.151)
    # Section 6.8.1: the remote discriminator is reset after a detection time without packets.
    (packet,) = sent(session.handle_timeout(3.2))
    assert packet.your_discriminator == 0


def test_detection_time_expiry_in_init_is_not_reported() -> None:
    session = started()
    session.receive(DOWN, 1.0)

    assert reported(session.handle_timeout(4.01)) == []
    assert session.state is State.DOWN


@pytest.mark.parametrize(
    ("their_interval", "their_multiplier", "seconds"),
    [(50_000, 3, 0.15), (50_000, 5, 0.25), (200_000, 3, 0.6), (10_000, 3, 0.15)],
)
def test_detection_time_is_peer_multiplier_times_slower_interval(
    their_interval: int, their_multiplier: int, seconds: float
) -> None:
    session = up()
    session.receive(
        replace(UP, desired_min_tx=their_interval, detect_multiplier=their_multiplier), 2.0
    )

    assert session.detection_time == pytest.approx(seconds)


# Section 6.8.7: transmission


@pytest.mark.parametrize(("their_receive", "interval"), [(20_000, 0.05), (400_000, 0.4)])
def test_transmit_interval_is_the_slower_of_both_sides(their_receive: int, interval: float) -> None:
    session = up()
    session.receive(replace(UP, required_min_rx=their_receive, desired_min_tx=9_000_000), 1.0)
    session.handle_timeout(3.0)

    assert session.next_deadline() == pytest.approx(3.0 + interval)


@pytest.mark.parametrize(
    ("multiplier", "random_fraction", "part"),
    [(3, 0.0, 1.0), (3, 0.999999, 0.75), (1, 0.0, 0.9), (1, 0.999999, 0.75)],
)
def test_jitter_shortens_the_interval_by_up_to_a_quarter(
    multiplier: int, random_fraction: float, part: float
) -> None:
    session = Session(
        PATH, replace(SETTINGS, detect_multiplier=multiplier), OURS, lambda: random_fraction
    )
    session.start(0.0)

    assert session.next_deadline() == pytest.approx(part, rel=1e-4)


def test_required_min_rx_of_zero_stops_periodic_packets() -> None:
    session = up()
    session.receive(replace(UP, required_min_rx=0, desired_min_tx=9_000_000), 1.5)

    assert sent(session.handle_timeout(9.0)) == []


def test_demand_mode_stops_periodic_packets_while_up() -> None:
    session = up()
    session.receive(replace(UP, demand=True, desired_min_tx=9_000_000), 1.5)
    assert sent(session.handle_timeout(9.0)) == []

    session.receive(replace(UP, demand=False, desired_min_tx=9_000_000), 9.0)
    assert sent(session.handle_timeout(9.1)) != []


def test_passive_role_waits_for_a_packet_of_the_peer() -> None:
    session = Session(PATH, replace(SETTINGS, passive=True), OURS, no_jitter)
    assert session.start(0.0) == ()
    assert session.next_deadline() is None

    assert [p.state for p in sent(session.receive(DOWN, 5.0))] == [State.INIT]


# Sections 6.5 and 6.8.3: poll sequences


def test_poll_is_answered_at_once_with_final_and_without_poll() -> None:
    session = up(polled=False)
    (answer,) = sent(session.receive(replace(UP, poll=True), 1.01))

    assert answer.final
    assert not answer.poll


def test_final_does_not_delay_the_next_periodic_packet() -> None:
    session = up()
    session.handle_timeout(1.05)
    session.receive(replace(UP, poll=True), 1.06)
    session.receive(replace(UP, poll=True), 1.09)

    assert session.next_deadline() == pytest.approx(1.10)


def test_faster_interval_on_up_starts_a_poll_sequence() -> None:
    session = started()
    session.receive(DOWN, 1.0)
    (packet,) = sent(session.receive(UP, 1.0))
    assert packet.poll
    assert packet.desired_min_tx == 50_000
    session.receive(UP, 1.01)
    assert sent(session.handle_timeout(1.06))[0].poll

    session.receive(replace(UP, final=True), 1.07)
    assert not sent(session.handle_timeout(1.12))[0].poll


def test_slower_transmit_interval_waits_for_the_final() -> None:
    session = up()
    session.handle_timeout(1.05)
    session.reconfigure(replace(SETTINGS, transmit_interval=400_000), 1.06)
    (packet,) = sent(session.handle_timeout(1.10))
    assert packet.poll
    assert packet.desired_min_tx == 400_000
    session.receive(UP, 1.11)
    assert session.next_deadline() == pytest.approx(1.15)

    session.receive(replace(UP, final=True, desired_min_tx=900_000), 1.12)
    assert session.next_deadline() == pytest.approx(1.10 + 0.4)


def test_shorter_detection_time_waits_for_the_final() -> None:
    session = up(replace(SETTINGS, receive_interval=400_000))
    assert session.detection_time == pytest.approx(1.2)
    session.reconfigure(SETTINGS, 1.1)
    assert session.detection_time == pytest.approx(1.2)

    session.receive(replace(UP, final=True), 1.2)
    assert session.detection_time == pytest.approx(0.15)


def test_longer_detection_time_applies_at_once() -> None:
    session = up()
    session.reconfigure(replace(SETTINGS, receive_interval=400_000), 1.01)

    assert session.detection_time == pytest.approx(1.2)
    assert session.state is State.UP


def test_change_during_a_poll_sequence_starts_another() -> None:
    session = up()
    session.reconfigure(replace(SETTINGS, transmit_interval=200_000), 1.01)
    session.reconfigure(replace(SETTINGS, transmit_interval=400_000), 1.02)
    session.receive(replace(UP, final=True), 1.03)
    assert sent(session.handle_timeout(1.06))[0].poll

    session.receive(replace(UP, final=True), 1.07)
    assert not any(packet.poll for packet in sent(session.handle_timeout(9.0))[-1:])


def test_unsolicited_final_changes_nothing() -> None:
    session = up()
    before = session.detection_time
    session.receive(replace(UP, final=True), 1.02)

    assert session.detection_time == before


def test_lower_required_min_rx_of_the_peer_applies_at_once() -> None:
    session = up()
    session.receive(replace(UP, required_min_rx=2_000_000, desired_min_tx=9_000_000), 1.01)
    session.handle_timeout(3.02)
    assert session.next_deadline() == pytest.approx(5.02)
    session.receive(replace(UP, desired_min_tx=9_000_000), 3.04)

    assert session.next_deadline() == pytest.approx(3.07)


def test_session_counts_packets_and_transitions() -> None:
    session = up()
    session.receive(DOWN, 1.1)
    session.receive(INIT, 1.2)

    counts = session.counts
    assert (counts.control_in, counts.ups, counts.downs) == (5, 2, 1)
    assert counts.control_out == 5


@pytest.mark.parametrize("echo", [True, False])
def test_required_min_echo_rx_is_zero_unless_echo_is_enabled(echo: bool) -> None:
    session = Session(PATH, replace(SETTINGS, echo=echo, echo_interval=70_000), OURS, no_jitter)

    assert sent(session.start(0.0))[0].required_min_echo_rx == (70_000 if echo else 0)
