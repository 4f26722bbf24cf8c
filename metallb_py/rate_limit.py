"""Rate limits for work that an outside host can cause: log lines, Events, processing.

There is a token bucket for each source, and one for all sources together, because a source address
can be forged. The number of buckets is bounded; the least recently used source is evicted first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """Size and refill rate of a token bucket: ``burst`` at once, ``per_second`` on average."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Admitted:
    """An admitted event.

    ``suppressed`` is the number of events of this source refused since its last admitted one.
    """

    suppressed: int = 0


class _Bucket:
    """A token bucket, full at first."""

    __slots__ = ("rate", "suppressed", "tokens", "updated")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self.tokens = float(rate.burst)
        self.updated = now
        self.suppressed = 0

    def refill(self, now: float) -> None:
        refilled = max(0.0, now - self.updated) * self.rate.per_second
        self.tokens = min(float(self.rate.burst), self.tokens + refilled)
        self.updated = now


class RateLimiter:
    """Admission of events at one rate for each source and another for all sources together.

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
        """Take tokens for an event; return None if either bucket has less than one token.

        More tokens may be taken than a bucket holds; it then admits nothing until the deficit is
        refilled.
        """
        total, bucket = self._refilled(source, now)
        if bucket.tokens < 1 or total.tokens < 1:
            bucket.suppressed += 1
            return None
        bucket.tokens -= tokens
        total.tokens -= tokens
        suppressed, bucket.suppressed = bucket.suppressed, 0
        return Admitted(suppressed)

    def charge(self, source: Hashable, now: float, tokens: int) -> None:
        """Take more tokens for an admitted event that cost more than expected."""
        for bucket in self._refilled(source, now):
            bucket.tokens -= tokens

    def _refilled(self, source: Hashable, now: float) -> tuple[_Bucket, _Bucket]:
        """Return the bucket of all sources and the bucket of this source, both refilled."""
        total = self._all = self._all or _Bucket(self._total, now)
        bucket = self._sources.pop(source, None) or _Bucket(self._each, now)
        self._sources[source] = bucket
        if len(self._sources) > self._max_sources:
            self._sources.popitem(last=False)
        total.refill(now)
        bucket.refill(now)
        return total, bucket
