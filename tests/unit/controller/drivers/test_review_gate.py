"""Order in which ReviewGate admits reviews, and limits of pending ones."""

from __future__ import annotations

import asyncio

import pytest
from support.net import virtual_time
from support.net.waiting import Observable

from controller.drivers.review_gate import (
    MAX_OTHERS,
    MAX_PER_SOURCE,
    MAX_TRUSTED,
    BusyError,
    Caller,
    ReviewGate,
)

API_SERVER = Caller("10.0.0.1", trusted=True)


def other(number: int) -> Caller:
    return Caller(f"10.0.1.{number}", trusted=False)


class Gate(Observable):
    """A ReviewGate whose reviews end when the test ends them."""

    def __init__(self) -> None:
        super().__init__()
        self._gate = ReviewGate()
        self.begun: list[Caller] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.Event] = []

    async def submit(self, caller: Caller) -> asyncio.Task[None]:
        task = asyncio.create_task(self._review(caller))
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task

    def end_one(self) -> None:
        self._ends[-1].set()

    async def has_begun(self, count: int) -> None:
        """Wait until this number of reviews have begun."""
        await self.until(lambda: len(self.begun) == count)

    async def _review(self, caller: Caller) -> None:
        async with self._gate.turn(caller):
            end = asyncio.Event()
            self._ends.append(end)
            self.begun.append(caller)
            self.notify()
            await end.wait()


async def test_reviews_run_one_at_a_time_and_trusted_callers_first() -> None:
    gate = Gate()
    for caller in (other(1), other(2), other(3), API_SERVER, API_SERVER):
        await gate.submit(caller)
    for count in range(1, 5):
        assert len(gate.begun) == count
        gate.end_one()
        await gate.has_begun(count + 1)
    assert gate.begun == [other(1), API_SERVER, API_SERVER, other(2), other(3)]
    gate.end_one()
    await asyncio.gather(*gate.tasks)


async def test_untrusted_sources_take_turns() -> None:
    gate = Gate()
    for caller in (other(1), other(1), other(1), other(2)):
        await gate.submit(caller)
    for count in range(1, 4):
        await gate.has_begun(count)
        gate.end_one()
    await gate.has_begun(4)
    gate.end_one()
    await asyncio.gather(*gate.tasks)
    assert gate.begun == [other(1), other(2), other(1), other(1)]


async def test_untrusted_callers_cannot_occupy_the_slots_of_trusted_ones() -> None:
    gate = Gate()
    await gate.submit(API_SERVER)
    for number in range(MAX_OTHERS):
        await gate.submit(other(number))
    assert await refused(gate, other(99))
    assert not await refused(gate, API_SERVER)
    for _ in range(MAX_TRUSTED - 1):
        assert not await refused(gate, API_SERVER)
    assert await refused(gate, API_SERVER)
    await cancel(gate)


async def test_one_untrusted_source_is_limited_to_its_share() -> None:
    gate = Gate()
    await gate.submit(API_SERVER)
    for _ in range(MAX_PER_SOURCE):
        assert not await refused(gate, other(1))
    assert await refused(gate, other(1))
    assert not await refused(gate, other(2))
    await cancel(gate)


async def test_cancelled_reviews_free_their_slots() -> None:
    gate = Gate()
    first = await gate.submit(other(1))
    second = await gate.submit(other(2))
    third = await gate.submit(other(3))
    second.cancel()
    first.cancel()
    await gate.until(lambda: gate.begun == [other(1), other(3)])
    third.cancel()
    await asyncio.wait([third])
    await gate.submit(API_SERVER)
    await gate.until(lambda: gate.begun[-1] == API_SERVER)
    await cancel(gate)


def test_untrusted_reviews_pause_for_as_long_as_the_last_one_took() -> None:
    async def main() -> None:
        gate, loop = Gate(), asyncio.get_running_loop()
        await gate.submit(other(1))
        await asyncio.sleep(0.1)
        await gate.submit(other(2))
        gate.end_one()
        await gate.submit(API_SERVER)
        assert (gate.begun[-1], loop.time()) == (API_SERVER, pytest.approx(0.1)), "at once"
        gate.end_one()
        await gate.has_begun(3)
        assert (gate.begun[-1], loop.time()) == (other(2), pytest.approx(0.2))
        gate.end_one()
        await asyncio.gather(*gate.tasks)

    virtual_time.run(main())


async def refused(gate: Gate, caller: Caller) -> bool:
    task = await gate.submit(caller)
    if not task.done():
        return False
    with pytest.raises(BusyError):
        task.result()
    return True


async def cancel(gate: Gate) -> None:
    for task in gate.tasks:
        task.cancel()
    await asyncio.gather(*gate.tasks, return_exceptions=True)
