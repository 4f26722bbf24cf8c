"""Delays between attempts, as values: no clock, no sleep, no state but the count of failures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays in seconds: ``first``, then times ``factor`` up to ``limit``.

    ``jitter`` is the greatest part of a delay that chance may take away (0 to 1).
    """

    first: float
    limit: float
    factor: float = 2.0
    jitter: float = 0.0

    def delay(self, failures: int, chance: float = 0.0) -> float:
        """Return the seconds to wait after ``failures`` consecutive failures (0: none yet).

        ``chance`` is a random number in [0, 1) that the caller draws.
        """
        if failures <= 0:
            return 0.0
        steps = min(failures - 1, 64)  # beyond, the power only overflows: the limit has long won
        return min(self.first * self.factor**steps, self.limit) * (1.0 - self.jitter * chance)


BGP_CONNECT = Backoff(first=1.0, limit=120.0, jitter=0.25)
"""MetalLB's delays between attempts to reach a BGP peer: 0, 1, 2, 4 ... 64, 120 s.

Of each chance takes up to a quarter (RFC 4271 section 10), so that nodes do not dial together.
"""

API_RETRY = Backoff(first=0.2, limit=15.0, jitter=0.5)
"""Between attempts to reach the API server: quick at first, apart from the other nodes later."""

ITEM_RETRY = Backoff(first=0.05, limit=60.0)
"""Between attempts to converge one service or configuration that failed."""
