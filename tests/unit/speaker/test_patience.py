"""Reports that wait until what they report has stood for a while."""

from __future__ import annotations

from speaker.patience import GRACE, Patience


def test_what_lasts_is_reported_once() -> None:
    patience = Patience()
    assert patience.next_deadline() is None
    patience.report("a/b", "why", 10.0)
    assert patience.next_deadline() == 10 + GRACE
    assert patience.handle_timeout(10 + GRACE - 0.1) == ()
    assert patience.handle_timeout(10 + GRACE) == (("a/b", "why"),)
    assert patience.handle_timeout(100) == ()
    assert patience.next_deadline() is None


def test_what_is_settled_meanwhile_is_not_reported() -> None:
    patience = Patience()
    patience.report("a/b", "why", 10.0)
    patience.report("a/b", "", 11.0)
    assert patience.next_deadline() is None


def test_a_new_detail_does_not_start_the_wait_again() -> None:
    patience = Patience()
    patience.report("a/b", "why", 10.0)
    patience.report("a/b", "another", 14.0)
    assert patience.handle_timeout(10 + GRACE) == (("a/b", "another"),)
