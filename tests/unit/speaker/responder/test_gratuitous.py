"""Schedule of gratuitous ARP and unsolicited NA, stepped through on a simulated clock."""

from __future__ import annotations

import pytest

from speaker.responder.gratuitous import EVERY_INTERFACE, Burst, Gratuitous, Refresh

A, B, C = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02", b"\xc0\x00\x02\x03"


def everywhere(address: bytes, takeover: float | None = None) -> Burst:
    return Burst(address, EVERY_INTERFACE, takeover)


def run(schedule: Gratuitous | Refresh, until: float) -> list[tuple[float, bytes]]:
    """Call the schedule exactly at its deadlines; return the bursts with their times."""
    sent: list[tuple[float, bytes]] = []
    while (deadline := schedule.next_deadline()) is not None and deadline <= until:
        sent += [(deadline, burst.address) for burst in schedule.handle_timeout(deadline)]
    return sent


def test_a_takeover_has_five_gratuitous_bursts_in_five_seconds() -> None:
    schedule = Gratuitous()

    assert schedule.announce(A, 100.0) == (everywhere(A, 100.0),)
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


def test_a_withdrawn_address_has_no_more_bursts() -> None:
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
    assert schedule.announce(A, 100.5) == (everywhere(A, 100.5),)


def test_addresses_and_interfaces_have_windows_of_their_own() -> None:
    schedule = Gratuitous()
    assert schedule.announce(A, 100.0) == (everywhere(A, 100.0),)
    assert schedule.announce(B, 100.5) == (everywhere(B, 100.5),)
    assert schedule.announce(A, 100.7, interface=7) == (Burst(A, 7, 100.7),)

    assert schedule.handle_timeout(101.7) == (everywhere(A, 100.0), everywhere(B, 100.5))
    assert schedule.next_deadline() == pytest.approx(101.8)
    assert schedule.handle_timeout(101.8) == (Burst(A, 7, 100.7),)


def test_a_late_timer_sends_no_missed_bursts() -> None:
    schedule = Gratuitous()
    schedule.announce(A, 100.0)

    assert schedule.handle_timeout(104.0) == (everywhere(A, 100.0),)
    assert schedule.next_deadline() == pytest.approx(105.1)
    assert schedule.handle_timeout(105.1) == ()
    assert schedule.next_deadline() is None


def test_the_first_three_bursts_have_the_time_of_the_takeover() -> None:
    schedule = Gratuitous()
    bursts = [*schedule.announce(A, 100.0)]
    while (deadline := schedule.next_deadline()) is not None:
        bursts += schedule.handle_timeout(deadline)
    assert [burst.takeover for burst in bursts] == [100.0, 100.0, 100.0, None, None]


def test_refresh_announces_owned_addresses_one_by_one() -> None:
    refresh = Refresh(60.0)
    assert refresh.next_deadline() is None
    refresh.own(frozenset({A, B, C}), 100.0)

    sent = run(refresh, 220.0)

    assert [time for time, _ in sent] == pytest.approx([120, 140, 160, 180, 200, 220])
    assert [address for _, address in sent] == [A, B, C, A, B, C]
    assert refresh.handle_timeout(239.0) == ()
    assert refresh.handle_timeout(240.0) == (everywhere(A),)


def test_refresh_spreads_a_thousand_addresses_over_the_interval() -> None:
    refresh = Refresh(50.0)
    addresses = frozenset(number.to_bytes(4) for number in range(1000))
    refresh.own(addresses, 0.0)

    for second in range(1, 51):
        assert len(run(refresh, second)) == pytest.approx(20, abs=1)
    assert {address for _, address in run(refresh, 100.01)} == addresses


def test_refresh_follows_changes_of_the_owned_addresses() -> None:
    refresh = Refresh(60.0)
    refresh.own(frozenset({A, B}), 100.0)
    assert refresh.handle_timeout(130.0) == (everywhere(A),)
    refresh.own(frozenset({A, C}), 131.0)
    assert [address for _, address in run(refresh, 260.0)] == [A, C, A, C]
    refresh.own(frozenset(), 261.0)
    assert refresh.next_deadline() is None
    assert refresh.handle_timeout(1000.0) == ()


def test_refresh_announces_each_address_once_after_a_pause() -> None:
    refresh = Refresh(60.0)
    refresh.own(frozenset({A, B}), 100.0)
    assert refresh.handle_timeout(1000.0) == (everywhere(A), everywhere(B))
    assert refresh.next_deadline() == pytest.approx(1030.0)


def test_refresh_with_interval_zero_announces_nothing() -> None:
    refresh = Refresh(0.0)
    refresh.own(frozenset({A, B}), 100.0)
    assert refresh.next_deadline() is None
    assert refresh.handle_timeout(1000.0) == ()
