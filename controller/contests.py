"""Backoff for statuses that another controller, such as k3s's ServiceLB, overwrites repeatedly.

Two controllers that each restore their own addresses at once write hundreds of times a second, and
every speaker follows each write. From the third overwrite on, this controller waits before it
writes again, twice as long each time.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from metallb_py.backoff import Backoff

TOLERATED = 2
"""Number of overwrites that are corrected at once: a restored backup, an edit by hand."""
REWRITE = Backoff(first=1.0, limit=300.0)
"""Seconds between an overwrite and the next write."""
QUIET_SECONDS = 900.0
"""Seconds without an overwrite after which the contest is over. More than ``REWRITE.limit``."""


@dataclass(slots=True)
class _Contest:
    wanted: Hashable
    """The status that this controller writes."""
    shown: bool = False
    """Whether the object had it when it was observed last."""
    overwrites: int = 0
    last: float = 0.0
    """Time of the last overwrite."""
    not_before: float = 0.0
    """Time of the next write at the earliest."""


class StatusContests:
    """Counts the overwrites of each service's status.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._contests: dict[str, _Contest] = {}

    def observe(self, key: str, wanted: Hashable, now: float, *, shown: bool) -> bool:
        """Record whether an object has the wanted status; return whether a contest began."""
        contest = self._contests.get(key)
        if contest is None or contest.wanted != wanted:
            contest = self._contests[key] = _Contest(wanted)
        was_shown, contest.shown = contest.shown, shown
        if shown or not was_shown:
            return False
        if now - contest.last > QUIET_SECONDS:
            contest.overwrites = 0
        contest.overwrites += 1
        contest.last = now
        contest.not_before = now + REWRITE.delay(contest.overwrites - TOLERATED)
        return contest.overwrites == TOLERATED + 1

    def not_before(self, key: str) -> float:
        """Return the time from which the status may be written again."""
        contest = self._contests.get(key)
        return contest.not_before if contest else 0.0

    def is_contested(self, key: str) -> bool:
        """Whether another controller overwrites this status repeatedly."""
        contest = self._contests.get(key)
        return contest is not None and contest.overwrites > TOLERATED

    def forget(self, key: str) -> None:
        """Forget a service that is gone."""
        self._contests.pop(key, None)
