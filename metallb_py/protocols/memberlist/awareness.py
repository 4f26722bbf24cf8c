"""Local health score of this member (Lifeguard, section IV.A; memberlist's ``awareness.go``)."""

from __future__ import annotations


class Awareness:
    """A score from 0 (healthy) to ``limit`` - 1. The higher it is, the longer timeouts become."""

    __slots__ = ("_limit", "score")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.score = 0

    def change(self, by: int) -> None:
        """Add a sign of poor health (``by`` above 0) or of good health (below 0)."""
        self.score = min(max(0, self.score + by), max(0, self._limit - 1))

    def scaled(self, seconds: float) -> float:
        """Return a timeout, multiplied by the score plus one."""
        return seconds * (self.score + 1)
