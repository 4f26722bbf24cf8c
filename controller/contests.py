"""Statuses that another controller overwrites again and again, such as k3s's ServiceLB.

Two controllers that each restore their own addresses at once write hundreds of times a second, and
every speaker follows. From the third overwrite on, this one waits before it writes again, twice as
long each time.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from metallb_py.backoff import Backoff

TOLERATED = 2
"""Overwrites that are answered at once: a restored backup, an edit by hand."""
REWRITE = Backoff(first=1.0, limit=300.0)
QUIET_SECONDS = 900.0
"""Without an overwrite for so long, the contest is over. More than ``REWRITE.limit``."""


@dataclass(slots=True)
class _Contest:
    wanted: Hashable
    shown: bool = False
    overwrites: int = 0
    last: float = 0.0
    not_before: float = 0.0


class StatusContests:
    """Counts, for each service, how often its status ceased to be what was written.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._contests: dict[str, _Contest] = {}

    def observe(self, key: str, wanted: Hashable, now: float, *, shown: bool) -> bool:
        """Note whether a service's object shows what is wanted; return whether a contest began."""
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
        """Return when the status may be written again."""
        contest = self._contests.get(key)
        return contest.not_before if contest else 0.0

    def is_contested(self, key: str) -> bool:
        """Whether another controller writes this status too."""
        contest = self._contests.get(key)
        return contest is not None and contest.overwrites > TOLERATED

    def forget(self, key: str) -> None:
        """Forget a service that is gone."""
        self._contests.pop(key, None)
