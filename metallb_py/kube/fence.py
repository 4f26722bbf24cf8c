"""Keeps who is no longer the leader from writing."""

from __future__ import annotations

import math
import time


class Fence:
    """Stands open until a time on the monotonic clock. Any thread may ask, and move it."""

    def __init__(self, until: float = math.inf) -> None:
        self._until = until
        # Whether a write ended without an answer: the server may still carry it out.
        self.unsure = False

    def is_open(self) -> bool:
        """Whether a write may start now."""
        return time.monotonic() < self._until

    def open_until(self, until: float) -> None:
        """Let writes start until then."""
        self._until = until

    def shut(self) -> None:
        """Let no more writes start."""
        self._until = -math.inf
