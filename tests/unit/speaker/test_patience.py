"""Reports that are delayed until their cause has lasted."""

from __future__ import annotations

from speaker.patience import REPORT_DELAY, ReportDelay


def test_a_lasting_cause_is_reported_once() -> None:
    delay = ReportDelay()
    assert delay.next_deadline() is None
    delay.report("a/b", "why", 10.0)
    assert delay.next_deadline() == 10 + REPORT_DELAY
    assert delay.handle_timeout(10 + REPORT_DELAY - 0.1) == ()
    assert delay.handle_timeout(10 + REPORT_DELAY) == (("a/b", "why"),)
    assert delay.handle_timeout(100) == ()
    assert delay.next_deadline() is None


def test_a_cause_that_ends_before_the_delay_is_not_reported() -> None:
    delay = ReportDelay()
    delay.report("a/b", "why", 10.0)
    delay.report("a/b", "", 11.0)
    assert delay.next_deadline() is None


def test_a_new_detail_does_not_restart_the_delay() -> None:
    delay = ReportDelay()
    delay.report("a/b", "why", 10.0)
    delay.report("a/b", "another", 14.0)
    assert delay.handle_timeout(10 + REPORT_DELAY) == (("a/b", "another"),)
