"""Backoff delays between attempts, as values. Short: a leaf for every retry.

No clock, no sleep, and no state except the number of failures, which the caller keeps.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays, in seconds."""

    first: float
    """Delay after the first failure."""
    limit: float
    """Longest delay."""
    factor: float = 2.0
    """Ratio of each delay to the one before."""
    jitter: float = 0.0
    """Greatest fraction of a delay (0 to 1) that randomness may subtract."""

    def delay(self, failures: int, random_fraction: float = 0.0) -> float:
        """Return the seconds to wait after ``failures`` consecutive failures (0: none yet).

        ``random_fraction`` is a random number in [0, 1) from the caller; it selects the jitter.
        """
        if failures <= 0:
            return 0.0
        steps = min(failures - 1, 64)  # more could overflow; the limit applies long before
        return min(self.first * self.factor**steps, self.limit) * (
            1.0 - self.jitter * random_fraction
        )


BGP_CONNECT = Backoff(first=1.0, limit=120.0, jitter=0.25)
"""MetalLB's delays between attempts to connect to a BGP peer: 0, 1, 2, 4 ... 64, 120 s.

Jitter subtracts up to a quarter of each (RFC 4271 section 10), so that the nodes do not all connect
at the same time.
"""

API_RETRY = Backoff(first=0.2, limit=15.0, jitter=0.5)
"""Delays between attempts to reach the API server: short at first, then spread over the nodes."""

ITEM_RETRY = Backoff(first=0.05, limit=60.0)
"""Delays between attempts to reconcile one service or configuration that failed."""
