"""Configurations compiled in a thread: one at a time, in order, the last one wins."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable

import pytest

from metallb_py.config.problems import Budget, ConfigError
from metallb_py.runtime.compile_worker import CompileWorker, ConfigQueue

GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]"


async def test_a_text_becomes_a_configuration_or_problems() -> None:
    worker = CompileWorker()
    parsed = await worker.compile(GOOD)
    assert parsed.config is not None
    assert (parsed.text, parsed.config.pools[0].name) == (GOOD, "a")
    bad = await worker.compile("peers: 1")
    assert bad.config is None
    assert bad.problems


async def test_event_loop_runs_while_jobs_compile_one_at_a_time() -> None:
    worker = CompileWorker()
    gate = threading.Event()
    running = 0

    def work(_: Budget) -> int:
        nonlocal running
        running += 1
        gate.wait()
        running -= 1
        return running

    first, second = asyncio.create_task(worker.run(work)), asyncio.create_task(worker.run(work))
    while not running:
        await asyncio.sleep(0)  # the loop runs, although the thread waits
    assert running == 1
    gate.set()
    assert (await first, await second) == (0, 0)


async def test_cancellation_ends_the_job() -> None:
    worker = CompileWorker()
    begun, ended = threading.Event(), threading.Event()

    def endless(budget: Budget) -> None:
        begun.set()
        try:
            while True:
                budget.spend(0)
        except ConfigError:
            ended.set()
            raise

    task = asyncio.create_task(worker.run(endless))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 10)
    assert (await worker.compile(GOOD)).config is not None


def returning(value: str) -> Callable[[Budget], str]:
    return lambda _: value


async def test_last_submitted_job_is_the_last_posted() -> None:
    posted: asyncio.Queue[str] = asyncio.Queue()
    queue = ConfigQueue(posted.put)
    gate, begun = threading.Event(), threading.Event()

    def first(_: Budget) -> str:
        begun.set()
        gate.wait()
        return "first"

    queue.submit(first)
    running = asyncio.create_task(queue.run())
    await asyncio.to_thread(begun.wait)
    queue.submit(returning("second"))
    queue.submit(returning("third"))
    gate.set()
    assert [await posted.get(), await posted.get()] == ["first", "third"]
    assert posted.empty()
    running.cancel()


async def test_garbage_collection_is_disabled_while_a_job_runs() -> None:
    worker = CompileWorker()
    assert gc.isenabled()
    assert await worker.run(lambda _: gc.isenabled()) is False
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda _: 1 // 0)
    assert gc.isenabled()
