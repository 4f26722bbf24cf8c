"""Pacing of recurring work: merged requests, and pauses in proportion to the work."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator

import pytest

from metallb_py.runtime.pacer import Pacer


@contextlib.asynccontextmanager
async def running(pacer: Pacer) -> AsyncIterator[None]:
    task = asyncio.create_task(pacer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_work_due_many_times_in_one_turn_runs_once() -> None:
    done: list[int] = []
    pacer = Pacer(lambda: done.append(1), pause=60.0)
    async with running(pacer):
        for _ in range(1000):
            pacer.due()
        await turns(3)
        assert done == [1]


async def test_next_run_waits_for_the_pause_unless_flushed() -> None:
    done: list[int] = []
    pacer = Pacer(lambda: done.append(1), pause=60.0)
    async with running(pacer):
        pacer.due()
        await turns(3)
        pacer.due()
        await turns(10)
        assert done == [1]
        pacer.flush()
        assert done == [1, 1]
        pacer.flush()
        assert done == [1, 1]


async def test_costly_work_leaves_the_event_loop_to_other_tasks() -> None:
    began: list[float] = []

    def work() -> None:
        began.append(time.monotonic())
        time.sleep(0.02)
        pacer.due()

    pacer = Pacer(work)
    async with running(pacer):
        pacer.due()
        while len(began) < 3:
            await asyncio.sleep(0.001)
    assert all(later - earlier >= 0.02 * 3.5 for earlier, later in itertools.pairwise(began))


async def test_exception_of_the_work_ends_the_task() -> None:
    def work() -> None:
        raise ValueError("a bug")

    pacer = Pacer(work)
    pacer.due()
    with pytest.raises(ValueError, match="a bug"):
        await pacer.run()
