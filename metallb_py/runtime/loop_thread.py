"""A thread with an event loop of its own. Apart, as both daemons use it.

For work that must not wait while the daemon's loop is busy. The two loops share no state; they
schedule calls on each other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TypeVarTuple

Ts = TypeVarTuple("Ts")


class LoopThread:
    """A thread that runs one coroutine. All methods belong to the loop that starts it.

    Every instance must be joined, also one that was not started: ``join`` closes the loop.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        """The thread's loop. Before ``start``, objects may be constructed on it."""
        self._work: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Future[None]:
        """Start the thread. Return the future of its end, which has the error of ``work``, if any.

        Its first step precedes every call that is scheduled later, also a cancellation.
        """
        self._work = self.loop.create_task(work, name=name)
        self._ended = asyncio.get_running_loop().run_in_executor(None, self._run, self._work)
        return self._ended

    def call_soon(self, call: Callable[[*Ts], object], *args: *Ts) -> None:
        """Schedule a call in the thread. It is dropped if the thread has ended."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call, *args)

    def cancel(self) -> None:
        """Cancel ``work``, which then ends the thread."""
        if self._work is not None:
            self.call_soon(self._work.cancel)

    async def join(self) -> None:
        """Wait until the thread has ended, and close its loop. Its error stays in the future."""
        if self._ended is not None:
            await asyncio.wait({self._ended})
        self.loop.close()

    def _run(self, work: asyncio.Task[None]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self.loop.run_until_complete(work)
