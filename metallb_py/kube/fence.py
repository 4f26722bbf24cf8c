"""Fence against writes of a process that leads no more; apart, as client and elector share it."""

from __future__ import annotations

import math
import time


class Fence:
    """Open until a time, in monotonic seconds. Any thread may query it and change the time."""

    def __init__(self, until: float = math.inf) -> None:
        self._until = until
        # Whether a write ended without a response: the server may still carry it out.
        self.has_unconfirmed_write = False

    def is_open(self) -> bool:
        """Whether a write may start now."""
        return time.monotonic() < self._until

    def open_until(self, until: float) -> None:
        """Allow writes to start until then, in monotonic seconds."""
        self._until = until

    def shut(self) -> None:
        """Allow no more writes to start."""
        self._until = -math.inf
