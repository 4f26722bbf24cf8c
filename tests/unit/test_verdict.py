"""Verdicts stop at the first failure and keep the way there."""

from __future__ import annotations

from metallb_py.verdict import Check, Checks, Verdict


def test_a_failed_check_decides() -> None:
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


def test_without_a_failure_the_answer_is_yes() -> None:
    checks = Checks()
    checks.passed("pool", "blue")
    assert checks.all_passed() == Verdict("", (Check("pool", True, "blue"),))
    assert checks.all_passed().positive


def test_a_verdict_without_checks_has_nothing_to_say() -> None:
    assert Verdict("", ()).detail == ""
