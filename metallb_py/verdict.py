"""Verdicts: a decision and its reason, as a list of named checks that ends at the deciding one.

One verdict is the source of the log line, the Event, the metric, the status page and the test's
assertion, so that each reason is worded in one place.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One condition that was evaluated for a decision, and the finding as text."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a decision.

    ``reason`` is MetalLB's public token of a negative decision (``notOwner``,
    ``noLocalEndpoints`` ...), and empty for a positive one.
    """

    reason: str
    checks: tuple[Check, ...]

    @property
    def positive(self) -> bool:
        """Whether the decision is positive."""
        return not self.reason

    @property
    def detail(self) -> str:
        """The finding of the deciding check, as text."""
        return self.checks[-1].detail if self.checks else ""


class Checks:
    """Builder of a Verdict: collects checks in order."""

    __slots__ = ("_checks",)

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def passed(self, name: str, detail: str = "") -> None:
        """Record a check that passed."""
        self._checks.append(Check(name, True, detail))

    def refused(self, name: str, detail: str) -> None:
        """Record a rejected alternative; it does not decide by itself."""
        self._checks.append(Check(name, False, detail))

    def failed(self, name: str, reason: str, detail: str = "") -> Verdict:
        """Record the check that decides negatively; return the negative verdict."""
        return Verdict(reason, (*self._checks, Check(name, False, detail)))

    def all_passed(self) -> Verdict:
        """Return the positive verdict."""
        return Verdict("", tuple(self._checks))
