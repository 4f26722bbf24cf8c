"""Verdicts: the first failed check decides, and the checks before it are kept."""

from __future__ import annotations

from metallb_py.verdict import Check, Checks, Verdict


def test_verdict_of_a_failed_check_is_negative() -> None:
    checks = Checks()
    checks.passed("pool", "blue")
    verdict = checks.failed("election", "notOwner", "node2 is first")
    assert not verdict.positive
    assert verdict.reason == "notOwner"
    assert verdict.detail == "node2 is first"
    assert verdict.checks == (
        Check("pool", True, "blue"),
        Check("election", False, "node2 is first"),
    )


def test_verdict_without_a_failed_check_is_positive() -> None:
    checks = Checks()
    checks.passed("pool", "blue")
    assert checks.all_passed() == Verdict("", (Check("pool", True, "blue"),))
    assert checks.all_passed().positive


def test_verdict_without_checks_has_no_detail() -> None:
    assert Verdict("", ()).detail == ""
