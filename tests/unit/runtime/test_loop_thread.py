"""A thread with an event loop of its own: what it runs, and how it ends."""

from __future__ import annotations

import asyncio
import threading

import pytest

from metallb_py.runtime.loop_thread import LoopThread


class Work:
    """A coroutine that runs until ``end`` or a cancellation, and records its steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.threads: set[int] = set()
        self.error: Exception | None = None
        self._ending = asyncio.Event()

    async def run(self) -> None:
        self.record("started")
        try:
            await self._ending.wait()
            if self.error is not None:
                raise self.error
        finally:
            await asyncio.sleep(0)  # an orderly end takes a while
            self.record("ended")

    def record(self, step: str) -> None:
        self.steps.append(step)
        self.threads.add(threading.get_ident())

    def end(self, error: Exception | None) -> None:
        self.error = error
        self._ending.set()


async def test_work_and_calls_run_in_the_thread_in_order() -> None:
    thread, work = LoopThread(), Work()
    ended = thread.start(work.run(), name="work")
    thread.call_soon(work.record, "one")
    thread.call_soon(work.record, "two")
    thread.call_soon(work.end, None)
    await thread.join()
    assert ended.result() is None
    assert work.steps == ["started", "one", "two", "ended"]
    assert len(work.threads) == 1
    assert threading.get_ident() not in work.threads


async def test_cancelled_work_is_started_and_ends_in_order() -> None:
    thread, work = LoopThread(), Work()
    ended = thread.start(work.run(), name="work")
    thread.cancel()
    await thread.join()
    assert ended.result() is None
    assert work.steps == ["started", "ended"]


async def test_error_of_the_work_is_that_of_its_end() -> None:
    thread, work = LoopThread(), Work()
    ended = thread.start(work.run(), name="work")
    thread.call_soon(work.end, ValueError("broken"))
    await thread.join()
    with pytest.raises(ValueError, match="broken"):
        ended.result()


async def test_cancelled_join_leaves_the_work_running() -> None:
    thread, work = LoopThread(), Work()
    ended = thread.start(work.run(), name="work")
    joining = asyncio.create_task(thread.join())
    await asyncio.sleep(0)
    joining.cancel()
    await asyncio.wait({joining})
    assert not ended.done()
    thread.cancel()
    await thread.join()
    assert ended.done()


async def test_calls_after_the_end_are_dropped() -> None:
    thread, work = LoopThread(), Work()
    thread.start(work.run(), name="work")
    thread.cancel()
    await thread.join()
    thread.call_soon(work.record, "late")
    thread.cancel()
    assert "late" not in work.steps


async def test_join_of_a_thread_that_was_never_started_closes_its_loop() -> None:
    thread = LoopThread()
    thread.cancel()
    await thread.join()
    assert thread.loop.is_closed()
