"""Work queue, on virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from support.net import virtual_time

from metallb_py.errors import ApiError
from metallb_py.kube.workqueue import WorkQueue


def seconds() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Processed:
    """One call of the work: its time, key and value."""

    time: float
    key: str
    value: int


class Work:
    """Records each call, which takes ``duration`` seconds; fails for the keys in ``failing``."""

    def __init__(self, duration: float = 0.0, failing: str = "") -> None:
        self.queue = WorkQueue[str, int]("worker")
        self.calls: list[Processed] = []
        self.duration = duration
        self.error = ApiError("no answer")
        self.failing = set(failing)
        self.running: list[str] = []

    async def process(self, key: str, value: int) -> None:
        assert key not in self.running
        self.running.append(key)
        self.calls.append(Processed(seconds(), key, value))
        await asyncio.sleep(self.duration)
        self.running.remove(key)
        if key in self.failing:
            self.queue.retry(key, value, self.error)
        else:
            self.queue.forget(key)

    @asynccontextmanager
    async def by(self, workers: int) -> AsyncIterator[WorkQueue[str, int]]:
        task = asyncio.create_task(self.queue.run(self.process, workers))
        try:
            yield self.queue
        finally:
            task.cancel()
            await asyncio.wait({task})

    def values(self, key: str) -> list[int]:
        return [call.value for call in self.calls if call.key == key]

    def times(self, key: str) -> list[float]:
        return [call.time for call in self.calls if call.key == key]


def test_latest_of_the_values_that_wait_is_processed_once() -> None:
    work = Work()

    async def main() -> None:
        async with work.by(workers=2) as queue:
            for value in range(5):
                queue.add("a", value)
            queue.add("b", 7)
            await asyncio.sleep(1)

    virtual_time.run(main())
    assert [(call.key, call.value) for call in work.calls] == [("a", 4), ("b", 7)]


def test_value_added_while_its_key_is_processed_follows_and_never_overlaps() -> None:
    work = Work(duration=1.0)

    async def main() -> None:
        async with work.by(workers=3) as queue:
            queue.add("a", 1)
            await asyncio.sleep(0.5)
            queue.add("a", 2)
            queue.add("a", 3)
            queue.add("b", 9)
            await asyncio.sleep(5)

    virtual_time.run(main())
    assert work.calls == [
        Processed(0.0, "a", 1),
        Processed(0.5, "b", 9),
        Processed(1.0, "a", 3),
    ]


def test_workers_process_as_many_keys_at_the_same_time() -> None:
    work = Work(duration=1.0)

    async def main() -> None:
        async with work.by(workers=2) as queue:
            for key in "abcde":
                queue.add(key, 0)
            await asyncio.sleep(10)

    virtual_time.run(main())
    assert [call.time for call in work.calls] == [0.0, 0.0, 1.0, 1.0, 2.0]


def test_failures_double_the_delay_up_to_a_minute_and_delay_no_other_key() -> None:
    work = Work(failing="a")

    async def main() -> None:
        async with work.by(workers=1) as queue:
            queue.add("a", 1)
            await asyncio.sleep(1.0)
            queue.add("b", 2)
            await asyncio.sleep(300)

    virtual_time.run(main())
    times = work.times("a")
    delays = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert delays[:4] == pytest.approx([0.05, 0.1, 0.2, 0.4])
    assert delays[-2:] == pytest.approx([60.0, 60.0])
    assert work.times("b") == [1.0]


def test_retry_after_of_the_server_is_added_to_the_delay() -> None:
    work = Work(failing="a")
    work.error = ApiError("too many requests", 429, retry_after=30.0)

    async def main() -> None:
        async with work.by(workers=1) as queue:
            queue.add("a", 1)
            await asyncio.sleep(40)

    virtual_time.run(main())
    assert work.times("a") == pytest.approx([0.0, 30.05])


def test_later_value_is_processed_at_once_in_place_of_the_retry() -> None:
    work = Work(failing="a")
    work.error = ApiError("too many requests", 429, retry_after=30.0)

    async def main() -> None:
        async with work.by(workers=1) as queue:
            queue.add("a", 1)
            await asyncio.sleep(10)
            work.failing.clear()
            queue.add("a", 2)
            await asyncio.sleep(100)

    virtual_time.run(main())
    assert work.calls == [Processed(0.0, "a", 1), Processed(10.0, "a", 2)]


def test_value_added_during_a_failure_is_not_replaced_by_the_retry() -> None:
    work = Work(duration=1.0, failing="a")

    async def main() -> None:
        async with work.by(workers=1) as queue:
            queue.add("a", 1)
            await asyncio.sleep(0.5)
            queue.add("a", 2)
            await asyncio.sleep(3)

    virtual_time.run(main())
    assert work.values("a")[:3] == [1, 2, 2]
    assert work.times("a")[1] == 1.0


def test_success_resets_the_delay() -> None:
    work = Work(failing="a")

    async def main() -> None:
        async with work.by(workers=1) as queue:
            queue.add("a", 1)
            await asyncio.sleep(20)
            work.failing.clear()
            queue.add("a", 2)
            await asyncio.sleep(1)
            work.failing.add("a")
            queue.add("a", 3)
            await asyncio.sleep(1)

    virtual_time.run(main())
    after = [call.time for call in work.calls if call.value == 3]
    assert after[1] - after[0] == pytest.approx(0.05)


def test_delay_that_ends_while_its_key_is_still_processed_starts_no_second_worker() -> None:
    queue = WorkQueue[str, int]("worker")
    calls: list[Processed] = []

    async def report_slowly(key: str, value: int) -> None:
        calls.append(Processed(seconds(), key, value))
        if value:
            queue.retry(key, value - 1, ApiError("no answer"))
            await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(queue.run(report_slowly, workers=2))
        queue.add("a", 1)
        await asyncio.sleep(100)
        task.cancel()
        await asyncio.wait({task})

    virtual_time.run(main())
    assert calls == [Processed(0.0, "a", 1), Processed(10.0, "a", 0)]


def test_exception_of_the_work_ends_the_queue() -> None:
    async def fail(_: str, __: int) -> None:
        raise ValueError("a bug")

    async def main() -> None:
        queue = WorkQueue[str, int]("worker")
        queue.add("a", 1)
        await queue.run(fail, workers=2)

    with pytest.raises(ExceptionGroup) as caught:
        virtual_time.run(main())
    assert caught.group_contains(ValueError, match="a bug")
