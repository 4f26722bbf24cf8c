"""Delay of reports that no node announces a service. Short: one machine.

A gap of a short time is normal, for instance during a rollout.
"""

from __future__ import annotations

REPORT_DELAY = 5.0
"""Seconds for which no node announces a service before that is reported."""


class ReportDelay:
    """Delays the report of each service, and drops it if the cause is gone before it is due.

    Times are monotonic seconds.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[str, tuple[float, str]] = {}

    def report(self, key: str, detail: str, now: float) -> None:
        """Schedule a report REPORT_DELAY after its first cause; an empty ``detail`` cancels it."""
        if not detail:
            self._pending.pop(key, None)
        else:
            due = self._pending[key][0] if key in self._pending else now + REPORT_DELAY
            self._pending[key] = (due, detail)

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next; None while nothing is pending."""
        return min((due for due, _ in self._pending.values()), default=None)

    def handle_timeout(self, now: float) -> tuple[tuple[str, str], ...]:
        """Return the reports that are due, as (service key, detail), sorted."""
        ready = [(key, detail) for key, (due, detail) in self._pending.items() if due <= now]
        for key, _ in ready:
            del self._pending[key]
        return tuple(sorted(ready))
