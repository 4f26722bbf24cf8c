"""Work queue that keeps the latest value of each key, as client-go's ``util/workqueue``.

A later value of a key replaces an earlier one that waits, so a burst of changes costs one request,
and memory is bounded by the number of keys. A key is processed by one worker at a time, so that its
requests stay in order; a key that fails waits alone, so that it delays no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class WorkQueue(Generic[K, V]):
    """Values to process, by key; ``name`` is that of the workers' tasks."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Values that are not processed yet (client-go's dirty set). The key of each is in _ready,
        # _processing or _delayed.
        self._values: dict[K, V] = {}
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._processing: set[K] = set()
        self._delayed: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K, value: V) -> None:
        """Process a value as soon as a worker is free, in place of one that waits."""
        timer = self._delayed.pop(key, None)
        if timer is not None:
            timer.cancel()
        waits = key in self._values and timer is None
        self._values[key] = value
        if not waits and key not in self._processing:
            self._ready.put_nowait(key)

    def retry(self, key: K, value: V, error: ApiError) -> None:
        """Process a value after the delay of one more failure, unless a later one is added.

        For the worker that processes the key.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if key not in self._values:
            self._values[key] = value
            delay = error.delay(ITEM_RETRY.delay(failures))
            loop = asyncio.get_running_loop()
            self._delayed[key] = loop.call_later(delay, self._delay_ended, key)

    def forget(self, key: K) -> None:
        """Reset the failures of a key: it succeeded, or its next value has nothing to do with them.

        A value that waits is processed nevertheless.
        """
        self._failures.pop(key, None)

    async def run(self, work: Callable[[K, V], Awaitable[None]], workers: int) -> None:
        """Process values until cancelled, up to ``workers`` of them at the same time.

        ``work`` calls ``forget`` or ``retry``. An exception of it ends the queue: it is a bug.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._process(work), name=f"{self._name} {number}")

    async def _process(self, work: Callable[[K, V], Awaitable[None]]) -> None:
        while True:
            key = await self._ready.get()
            self._processing.add(key)
            try:
                await work(key, self._values.pop(key))
            finally:
                self._processing.discard(key)
            if key in self._values and key not in self._delayed:
                self._ready.put_nowait(key)

    def _delay_ended(self, key: K) -> None:
        del self._delayed[key]
        if key not in self._processing:  # otherwise its worker continues with the value
            self._ready.put_nowait(key)
