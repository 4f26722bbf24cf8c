"""Mailbox of the task that owns a daemon's state: a bounded queue of calls. Short: one class.

Posting waits while the queue is full, so a flood from the API server waits in the API server's
connection, not in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

CAPACITY = 1000
# A call takes milliseconds; one that takes this long, with others queued, will not end.
STUCK_SECONDS = 30.0
# Calls in a row before other tasks run, even while more calls are posted.
TURN = 100

E = TypeVar("E")


class Mailbox:
    """Runs posted calls, in order, in the task that calls ``run``."""

    def __init__(self) -> None:
        self._calls: asyncio.Queue[Callable[[], None]] = asyncio.Queue(CAPACITY)
        self._progress = 0.0  # when a call ended, or was posted to an empty queue

    def handler(self, handle: Callable[[E], None]) -> Callable[[E], Awaitable[None]]:
        """Return a function that posts a call of ``handle`` with its argument."""

        async def post(value: E) -> None:
            if self._calls.empty():
                self._progress = asyncio.get_running_loop().time()
            await self._calls.put(partial(handle, value))

        return post

    @property
    def is_stuck(self) -> bool:
        """Whether calls wait and none ended for STUCK_SECONDS: their owner ended or is blocked."""
        now = asyncio.get_running_loop().time()
        return not self._calls.empty() and now - self._progress > STUCK_SECONDS

    async def run(self) -> None:
        """Run the calls until cancelled. An exception in a call ends the daemon: it is a bug."""
        while True:
            for _ in range(TURN):
                call = await self._calls.get()
                call()
                self._progress = asyncio.get_running_loop().time()
            await asyncio.sleep(0)
