"""Compilation of configurations off the event loop, one at a time.

A large configuration takes seconds of CPU time. In a thread the event loop goes on meanwhile; the
steps are limited by a ``Budget``, which also ends the thread's work soon when the daemon ends.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from metallb_py.config.compile.budget import Budget
from metallb_py.kube.configmap import Reading, read

T = TypeVar("T")

Work = Callable[[Budget], T]


class CompileWorker:
    """Runs compilations in a thread, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compile")

    async def compile(self, text: str) -> Reading:
        """Read a text: a configuration, or every problem that it has."""
        return await self.run(lambda budget: read(text, budget))

    async def run(self, work: Work[T]) -> T:
        """Return what the work returns.

        Cancellation ends the work at the next step that it spends; until then the next one waits.
        """
        budget = Budget()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, _run, work, budget)
        finally:
            budget.cancel()


def _run(work: Work[T], budget: Budget) -> T:
    """Work without the cyclic garbage collector, whose full collections halt every thread.

    With what a large configuration allocates, one of them takes 0.2 s of the event loop; there are
    no cycles in it.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return work(budget)
    finally:
        if collecting:
            gc.enable()


class ConfigQueue(Generic[T]):
    """Compiles what was submitted last, and posts the result to the state owner's mailbox.

    A text that was not begun when the next one came is left out; one that was begun is finished,
    so results come in order, and the last one is of the last text.
    """

    def __init__(self, post: Callable[[T], Awaitable[None]]) -> None:
        self._post = post
        self._worker = CompileWorker()
        self._next: Work[T] | None = None
        self._submitted = asyncio.Event()
        self._running = False

    @property
    def is_idle(self) -> bool:
        """Whether every result was posted."""
        return not self._running and self._next is None

    def submit(self, work: Work[T]) -> None:
        """Have this done next, instead of what waited."""
        self._next = work
        self._submitted.set()

    async def run(self) -> None:
        """Compile until cancelled."""
        while True:
            await self._submitted.wait()
            self._submitted.clear()
            work, self._next = self._next, None
            if work is None:
                continue
            self._running = True
            await self._post(await self._worker.run(work))
            self._running = False
