"""How well this member itself keeps up (Lifeguard, section IV.A: local health)."""

from __future__ import annotations


class Health:
    """A score from 0, well, to one below ``limit``. Who is unwell gives others more time."""

    __slots__ = ("_limit", "score")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.score = 0

    def change(self, by: int) -> None:
        """Take note of a sign of poor (above 0) or good health."""
        self.score = min(max(0, self.score + by), max(0, self._limit - 1))

    def scaled(self, seconds: float) -> float:
        """Return a time as it is for somebody in this state."""
        return seconds * (self.score + 1)
