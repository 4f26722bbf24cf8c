"""Contested statuses: delays of writes to a status that another controller overwrites."""

from __future__ import annotations

from controller.contests import QUIET_SECONDS, StatusContests

OURS = ("192.0.2.0", "a")


def overwritten(contests: StatusContests, now: float) -> bool:
    """Observe our write, then another one; return whether that begins a contest."""
    contests.observe("default/web", OURS, now, shown=True)
    return contests.observe("default/web", OURS, now, shown=False)


def test_the_third_overwrite_of_a_status_begins_a_contest() -> None:
    contests = StatusContests()
    assert [overwritten(contests, 100.0) for _ in range(4)] == [False, False, True, False]
    assert contests.is_contested("default/web")


def test_the_delay_doubles_up_to_five_minutes() -> None:
    contests = StatusContests()
    delays = []
    now = 1000.0
    for _ in range(14):
        overwritten(contests, now)
        delays.append(max(0.0, contests.not_before("default/web") - now))
        now = max(now, contests.not_before("default/web"))
    assert delays == [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_an_object_that_does_not_show_the_write_yet_is_no_overwrite() -> None:
    contests = StatusContests()
    for _ in range(10):
        assert not contests.observe("default/web", OURS, 1.0, shown=False)
    assert contests.not_before("default/web") == 0


def test_a_new_address_is_written_at_once() -> None:
    contests = StatusContests()
    for _ in range(5):
        overwritten(contests, 100.0)
    contests.observe("default/web", ("192.0.2.9", "a"), 100.0, shown=False)
    assert contests.not_before("default/web") == 0


def test_a_contest_ends_after_quiet_seconds() -> None:
    contests = StatusContests()
    for _ in range(5):
        overwritten(contests, 100.0)
    later = 100.0 + QUIET_SECONDS + 1
    assert not overwritten(contests, later)
    assert contests.not_before("default/web") == later


def test_a_deleted_service_is_forgotten() -> None:
    contests = StatusContests()
    for _ in range(3):
        overwritten(contests, 1.0)
    contests.forget("default/web")
    assert not contests.is_contested("default/web")
