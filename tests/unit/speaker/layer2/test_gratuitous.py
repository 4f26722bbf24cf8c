"""The schedule of gratuitous packets, stepped through on a clock of the test's own."""

from __future__ import annotations

import pytest

from speaker.layer2.gratuitous import EVERY_INTERFACE, Burst, Gratuitous

A, B = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"


def everywhere(address: bytes) -> Burst:
    return Burst(address, EVERY_INTERFACE)


def run(schedule: Gratuitous, until: float) -> list[tuple[float, bytes]]:
    """Do what the schedule asks, exactly when it asks; return what went out when."""
    sent: list[tuple[float, bytes]] = []
    while (deadline := schedule.next_deadline()) is not None and deadline <= until:
        sent += [(deadline, burst.address) for burst in schedule.handle_timeout(deadline)]
    return sent


def test_a_takeover_is_announced_five_times_in_five_seconds() -> None:
    schedule = Gratuitous()

    assert schedule.announce(A, 100.0) == (everywhere(A),)
    assert [time for time, _ in run(schedule, 200.0)] == pytest.approx([101.1, 102.2, 103.3, 104.4])
    assert schedule.next_deadline() is None


def test_nothing_is_due_before_its_time() -> None:
    schedule = Gratuitous()
    assert schedule.next_deadline() is None
    assert schedule.handle_timeout(0.0) == ()

    schedule.announce(A, 100.0)
    assert schedule.next_deadline() == pytest.approx(101.1)
    assert schedule.handle_timeout(101.0) == ()


def test_a_second_announcement_extends_the_window_without_a_burst_of_its_own() -> None:
    schedule = Gratuitous()
    schedule.announce(A, 100.0)
    assert schedule.announce(A, 103.0) == ()

    times = [time for time, _ in run(schedule, 200.0)]

    assert times == pytest.approx([101.1, 102.2, 103.3, 104.4, 105.5, 106.6, 107.7])


def test_a_lost_address_is_announced_no_more() -> None:
    schedule = Gratuitous()
    schedule.announce(A, 100.0)
    schedule.announce(A, 100.0, interface=7)
    schedule.announce(B, 100.0)

    schedule.withdraw({A})

    assert {address for _, address in run(schedule, 200.0)} == {B}


def test_a_new_takeover_after_a_loss_is_announced_at_once() -> None:
    schedule = Gratuitous()
    schedule.announce(A, 100.0)
    schedule.withdraw([A])
    assert schedule.announce(A, 100.5) == (everywhere(A),)


def test_addresses_and_interfaces_have_windows_of_their_own() -> None:
    schedule = Gratuitous()
    assert schedule.announce(A, 100.0) == (everywhere(A),)
    assert schedule.announce(B, 100.5) == (everywhere(B),)
    assert schedule.announce(A, 100.7, interface=7) == (Burst(A, 7),)

    assert schedule.handle_timeout(101.7) == (everywhere(A), everywhere(B))
    assert schedule.next_deadline() == pytest.approx(101.8)
    assert schedule.handle_timeout(101.8) == (Burst(A, 7),)


def test_a_late_timer_makes_up_for_nothing() -> None:
    schedule = Gratuitous()
    schedule.announce(A, 100.0)

    assert schedule.handle_timeout(104.0) == (everywhere(A),)
    assert schedule.next_deadline() == pytest.approx(105.1)
    assert schedule.handle_timeout(105.1) == ()
    assert schedule.next_deadline() is None
