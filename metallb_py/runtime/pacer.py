"""Work that is due again and again, done once for all that made it due, and not all of the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

SHARE: Final = 3
"""The pause after the work, in times of what the work took."""
LONGEST_PAUSE: Final = 1.0
"""The longest such pause, in seconds."""


class Pacer:
    """Does ``work`` in the task that calls ``run``, when it is due.

    At once where it was not done lately. After that the event loop is left to others for ``pause``
    seconds at the least, and for ``SHARE`` times as long as the work took, up to
    ``LONGEST_PAUSE``: however often it becomes due, its part of the loop is bounded.
    """

    def __init__(self, work: Callable[[], None], pause: float = 0.0) -> None:
        self._work = work
        self._pause = pause
        self._due = asyncio.Event()

    def due(self) -> None:
        """Have the work done soon."""
        self._due.set()

    def flush(self) -> None:
        """Do the work now, if it is due."""
        if self._due.is_set():
            self._due.clear()
            self._work()

    async def run(self) -> None:
        """Do the work when it is due, until cancelled. What it raises is passed on."""
        while True:
            await self._due.wait()
            began = time.monotonic()
            self.flush()
            took = time.monotonic() - began
            await asyncio.sleep(min(max(self._pause, SHARE * took), LONGEST_PAUSE))
