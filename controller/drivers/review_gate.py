"""Queue in front of the webhook's expensive work: one review at a time, by caller.

Authenticated callers are served first. A limited number of others wait, and their sources take
turns. Their reviews use at most half of the time: after one that took a second, none of them starts
for a second.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from metallb_py.errors import MetallbError

# Reviews that may wait: of trusted callers, of all others, and of one source among those.
MAX_TRUSTED: Final = 32
MAX_OTHERS: Final = 8
MAX_PER_SOURCE: Final = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """Sender of a review. ``trusted``: it has the API server's client certificate."""

    source: str
    trusted: bool


class BusyError(MetallbError):
    """A review is not answered: too many wait, or it took too long. No state was changed."""


@dataclass(eq=False, slots=True)
class _Waiting:
    caller: Caller
    turn: asyncio.Future[None]


class ReviewGate:
    """Lets one review through at a time."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []  # in order of arrival
        self._busy = False
        self._paused_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Number of reviews done for each untrusted source since it last had none waiting.
        self._served: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises BusyError if too many reviews wait."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(caller, loop.create_future())
        self._admit(caller)
        self._waiting.append(waiting)
        self._call_next()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                self._end(caller, loop.time())
            else:
                self._waiting.remove(waiting)
            raise
        started = loop.time()
        try:
            yield
        finally:
            self._end(caller, started)

    def _admit(self, caller: Caller) -> None:
        trusted = [each for each in self._waiting if each.caller.trusted]
        if caller.trusted:
            if len(trusted) >= MAX_TRUSTED:
                raise BusyError(f"{MAX_TRUSTED} reviews wait already")
            return
        same = sum(each.caller == caller for each in self._waiting)
        if same >= MAX_PER_SOURCE or len(self._waiting) - len(trusted) >= MAX_OTHERS:
            raise BusyError("too many reviews of callers without a client certificate wait already")

    def _end(self, caller: Caller, started: float) -> None:
        now = asyncio.get_running_loop().time()
        self._busy = False
        if not caller.trusted:
            self._paused_until = now + (now - started)
            self._served[caller.source] += 1
            for source in self._served.keys() - {each.caller.source for each in self._waiting}:
                del self._served[source]
        self._call_next()

    def _call_next(self) -> None:
        loop = asyncio.get_running_loop()
        if self._busy or not self._waiting:
            return
        paused = loop.time() < self._paused_until
        choices = [each for each in self._waiting if each.caller.trusted or not paused]
        if not choices:
            if self._timer is None:
                self._timer = loop.call_at(self._paused_until, self._resume)
            return
        # Among equals min() returns the one that arrived first.
        chosen = min(choices, key=lambda e: (not e.caller.trusted, self._served[e.caller.source]))
        self._waiting.remove(chosen)
        self._busy = True
        chosen.turn.set_result(None)

    def _resume(self) -> None:
        self._timer = None
        self._call_next()
