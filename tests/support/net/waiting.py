"""Waits: the one time limit for what must happen in a test; polling; changes and events.

A wait that shows that something does not happen is short, and has its own limit at its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

TIMEOUT: Final = 60.0
"""Seconds; enough for programs that get a fraction of a busy machine's CPU time."""
LAB_TIMEOUT: Final = 120.0
"""Seconds; for the lab, all of whose daemons share the machine."""
POLL_INTERVAL = 0.02

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E")


class Observable:
    """A component whose changes tests await."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Have every waiting condition evaluated again."""
        self._changed.set()

    async def until(self, condition: Callable[[], T], within: float = TIMEOUT) -> T:
        """Wait until a condition is true, and return its value. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while not (value := condition()):
                self._changed.clear()
                await self._changed.wait()
        return value


class Recorder(Observable, Generic[R]):
    """Records the events of a component under test; ``record`` is that component's callback.

    ``history`` has every event, ``events`` those that no call of ``next_event`` has returned yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: list[R] = []
        self.events: list[R] = []

    def record(self, event: R) -> None:
        self.history.append(event)
        self.events.append(event)
        self.notify()

    async def next_event(
        self, kind: type[E], that: Callable[[E], bool] = lambda _: True, within: float = TIMEOUT
    ) -> E:
        """Wait for the first event of a kind that no call has returned yet. Raises TimeoutError."""

        def matching() -> list[E]:
            return [event for event in self.events if isinstance(event, kind) and that(event)]

        event = (await self.until(matching, within))[0]
        self.events.remove(event)  # type: ignore[arg-type]
        return event


async def eventually(
    query: Callable[[], Awaitable[T]],
    accept: Callable[[T], bool] = bool,
    within: float = TIMEOUT,
) -> T:
    """Poll until a result is accepted, and return it; for state that offers no event to await.

    Raises AssertionError with the last result after ``within`` seconds.
    """
    deadline = time.monotonic() + within
    while not accept(result := await query()):
        assert time.monotonic() < deadline, f"still not after {within:g} s, but: {result}"
        await asyncio.sleep(POLL_INTERVAL)
    return result


async def retry(
    query: Callable[[], Awaitable[T]], *errors: type[Exception], within: float = TIMEOUT
) -> T:
    """Repeat a query while it raises one of these errors, and return its result.

    For a server that is not up yet. Raises TimeoutError after ``within`` seconds.
    """
    async with asyncio.timeout(within):
        while True:
            try:
                return await query()
            except errors:
                await asyncio.sleep(POLL_INTERVAL)


async def until(condition: Callable[[], T], within: float = TIMEOUT) -> T:
    """Poll until a condition is true, as ``eventually`` does; it does not block the loop."""

    async def query() -> T:
        return condition()

    return await eventually(query, within=within)


def poll_until(condition: Callable[[], T], within: float = LAB_TIMEOUT, *, what: str = "") -> T:
    """Poll until a condition is true, as ``eventually`` does, without an event loop.

    ``what`` names the condition in the AssertionError.
    """
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what or condition}: not within {within:g} s: {value}"
        time.sleep(POLL_INTERVAL)
    return value


async def exists(path: Path, within: float = TIMEOUT) -> None:
    """Wait until a file exists."""
    await until(path.exists, within)
