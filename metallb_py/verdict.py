"""A decision and why it fell: an ordered list of named checks that ends at the deciding one.

One verdict feeds the log line, the Event, the metric, the status page and the test's assert, so
that a reason is worded in one place.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was asked on the way to a decision."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a decision.

    ``reason`` is MetalLB's public token where the answer is no (``notOwner``,
    ``noLocalEndpoints`` ...), and empty where it is yes.
    """

    reason: str
    checks: tuple[Check, ...]

    @property
    def positive(self) -> bool:
        """Whether every check passed."""
        return not self.reason

    @property
    def detail(self) -> str:
        """What the deciding check found, in words."""
        return self.checks[-1].detail if self.checks else ""


class Checks:
    """Collects checks in order and closes them into a Verdict."""

    __slots__ = ("_checks",)

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def passed(self, name: str, detail: str = "") -> None:
        """Record a check that held."""
        self._checks.append(Check(name, True, detail))

    def refused(self, name: str, detail: str) -> None:
        """Record one of several possibilities that does not do; that alone decides nothing."""
        self._checks.append(Check(name, False, detail))

    def failed(self, name: str, reason: str, detail: str = "") -> Verdict:
        """Record the check that decides against, and close."""
        return Verdict(reason, (*self._checks, Check(name, False, detail)))

    def all_passed(self) -> Verdict:
        """Close with a yes."""
        return Verdict("", tuple(self._checks))
