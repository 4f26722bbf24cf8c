"""Event loop on virtual time: where every task waits, the clock moves to the next timer at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class _Clock(selectors.SelectSelector):
    """A selector that adds a timeout to its time in place of waiting for it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "every task waits, and no timer is set"
        self.now += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine; its loop's time begins with 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
