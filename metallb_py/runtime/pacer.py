"""Pacing of recurring work, whose share of the loop is bounded. Short: one class."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

SHARE: Final = 3
"""Pause after the work, as a multiple of the work's duration."""
LONGEST_PAUSE: Final = 1.0
"""Longest pause, in seconds."""


class Pacer:
    """Runs ``work`` in the task that calls ``run``, when it is due.

    At once where it has not run recently. After that the event loop is left to other tasks for at
    least ``pause`` seconds, and for ``SHARE`` times the duration of the work, up to
    ``LONGEST_PAUSE``. So its share of the loop is bounded, however often it becomes due.
    """

    def __init__(self, work: Callable[[], None], pause: float = 0.0) -> None:
        self._work = work
        self._pause = pause
        self._due = asyncio.Event()

    def due(self) -> None:
        """Request that the work runs soon."""
        self._due.set()

    def flush(self) -> None:
        """Run the work now, if it is due."""
        if self._due.is_set():
            self._due.clear()
            self._work()

    async def run(self) -> None:
        """Run the work when it is due, until cancelled. Its exceptions are passed on."""
        while True:
            await self._due.wait()
            began = time.monotonic()
            self.flush()
            took = time.monotonic() - began
            await asyncio.sleep(min(max(self._pause, SHARE * took), LONGEST_PAUSE))
