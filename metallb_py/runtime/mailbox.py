"""How a daemon's one state owner gets its work: a bounded queue of calls, run one by one.

Whoever posts waits while the queue is full, so a flood from the API server waits in the API
server's connection, not in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

CAPACITY = 1000
# After this many calls in a row other tasks get their turn, whoever is still posting.
TURN = 100

E = TypeVar("E")


class Mailbox:
    """Runs what others post, in order, in the task that calls ``run``."""

    def __init__(self) -> None:
        self._calls: asyncio.Queue[Callable[[], None]] = asyncio.Queue(CAPACITY)

    def handler(self, handle: Callable[[E], None]) -> Callable[[E], Awaitable[None]]:
        """Return what posts a call of ``handle`` for each value that it is given."""

        async def post(value: E) -> None:
            await self._calls.put(partial(handle, value))

        return post

    async def run(self) -> None:
        """Run the calls until cancelled. What a call raises ends the daemon: it is a bug."""
        while True:
            for _ in range(TURN):
                call = await self._calls.get()
                call()
            await asyncio.sleep(0)
