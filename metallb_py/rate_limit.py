"""Rate limits for what an outsider can provoke: log lines, Events, work.

A token bucket for each source, and one for all sources together, because a source address can be
forged. The number of sources that are remembered is bounded; the one not seen for longest is
forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, and after that ``per_second`` in the long run."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may be done. ``suppressed``: how many of this source were refused since the last time."""

    suppressed: int = 0


class _Bucket:
    """A token bucket that is full at first."""

    __slots__ = ("rate", "suppressed", "tokens", "updated")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self.tokens = float(rate.burst)
        self.updated = now
        self.suppressed = 0

    def refill(self, now: float) -> None:
        earned = max(0.0, now - self.updated) * self.rate.per_second
        self.tokens = min(float(self.rate.burst), self.tokens + earned)
        self.updated = now


class RateLimiter:
    """Admits events at one rate for each source and at another for all sources together.

    Times are monotonic seconds.
    """

    __slots__ = ("_all", "_each", "_max_sources", "_sources", "_total")

    def __init__(self, each: Rate, total: Rate, max_sources: int = 1024) -> None:
        self._each = each
        self._total = total
        self._max_sources = max_sources
        self._sources: OrderedDict[Hashable, _Bucket] = OrderedDict()
        self._all: _Bucket | None = None

    def admit(self, source: Hashable, now: float, tokens: int = 1) -> Admitted | None:
        """Take tokens of a source; None where it, or all sources together, have none left.

        More than there are may be taken: then nothing is admitted until that is earned.
        """
        everyone, bucket = self._refilled(source, now)
        if bucket.tokens < 1 or everyone.tokens < 1:
            bucket.suppressed += 1
            return None
        bucket.tokens -= tokens
        everyone.tokens -= tokens
        suppressed, bucket.suppressed = bucket.suppressed, 0
        return Admitted(suppressed)

    def charge(self, source: Hashable, now: float, tokens: int) -> None:
        """Take tokens for what was admitted and has cost more than it seemed to."""
        for bucket in self._refilled(source, now):
            bucket.tokens -= tokens

    def _refilled(self, source: Hashable, now: float) -> tuple[_Bucket, _Bucket]:
        """Return the bucket of all sources, and that of this one."""
        everyone = self._all = self._all or _Bucket(self._total, now)
        bucket = self._sources.pop(source, None) or _Bucket(self._each, now)
        self._sources[source] = bucket
        if len(self._sources) > self._max_sources:
            self._sources.popitem(last=False)
        everyone.refill(now)
        bucket.refill(now)
        return everyone, bucket
