"""Reports that wait: a service that no node announces for a moment, as in a rollout, is no news."""

from __future__ import annotations

GRACE = 5.0
"""Seconds for which no node announced a service before that is reported."""


class Patience:
    """Delays what is to be reported of each service, and forgets what is settled meanwhile.

    Times are monotonic seconds.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[str, tuple[float, str]] = {}

    def report(self, key: str, detail: str, now: float) -> None:
        """Report a detail of a service once it has stood for GRACE; empty: there is none."""
        if not detail:
            self._pending.pop(key, None)
        else:
            due = self._pending[key][0] if key in self._pending else now + GRACE
            self._pending[key] = (due, detail)

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is to be called next; None: not before a report."""
        return min((due for due, _ in self._pending.values()), default=None)

    def handle_timeout(self, now: float) -> tuple[tuple[str, str], ...]:
        """Return the services whose details are to be reported now, with these."""
        ready = [(key, detail) for key, (due, detail) in self._pending.items() if due <= now]
        for key, _ in ready:
            del self._pending[key]
        return tuple(sorted(ready))
