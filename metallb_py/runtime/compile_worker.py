"""Compilation of configurations off the event loop, one at a time.

A large configuration takes seconds of CPU time; in a thread it does not block the event loop. A
``Budget`` limits the steps of the work, and ends it soon when the daemon ends.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from metallb_py.config.problems import Budget
from metallb_py.kube.configmap import ParsedConfig, read

T = TypeVar("T")

Work = Callable[[Budget], T]


class CompileWorker:
    """Runs compilations in one thread, in the order of the requests."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compile")

    async def compile(self, text: str) -> ParsedConfig:
        """Compile a text; return its configuration, or all of its problems."""
        return await self.run(lambda budget: read(text, budget))

    async def run(self, work: Work[T]) -> T:
        """Run the work in the thread; return its result.

        Cancellation ends the work at its next step of the budget; until then later work waits.
        """
        budget = Budget()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, _run, work, budget)
        finally:
            budget.cancel()


def _run(work: Work[T], budget: Budget) -> T:
    """Run the work without the cyclic garbage collector: a full collection stops every thread.

    With the allocations of a large configuration, a collection blocks the event loop for 0.2 s;
    the configuration contains no cycles.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return work(budget)
    finally:
        if collecting:
            gc.enable()


class ConfigQueue(Generic[T]):
    """Compiles the last text submitted, and posts the result to the state owner's mailbox.

    A text that has not started when the next one arrives is skipped; one that has started is
    finished. So results arrive in order, and the last result is that of the last text.
    """

    def __init__(self, post: Callable[[T], Awaitable[None]]) -> None:
        self._post = post
        self._worker = CompileWorker()
        self._next: Work[T] | None = None
        self._submitted = asyncio.Event()

    def submit(self, work: Work[T]) -> None:
        """Queue work, in place of work that has not started."""
        self._next = work
        self._submitted.set()

    async def run(self) -> None:
        """Compile until cancelled."""
        while True:
            await self._submitted.wait()
            self._submitted.clear()
            work, self._next = self._next, None
            if work is not None:
                await self._post(await self._worker.run(work))
