"""The speaker's handle on its BFD process: starts it, feeds it, hears it, restarts it.

There is a process only while a session is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from metallb_py.protocols.bfd.packet import Diagnostic
from metallb_py.protocols.bfd.session import Counts
from metallb_py.protocols.bfd.settings import Path, SessionDown, SessionUp, Settings
from speaker.bfd.io.messages import (
    SESSIONS,
    Change,
    Configure,
    PathName,
    Report,
    Watch,
    decode_report,
    encode,
)
from speaker.linux.channel import Assembly, ChannelBrokenError
from speaker.linux.subprocess import (
    GOOD_LIFE,
    RESTART,
    NotStartedError,
    helper_process,
    receive,
    send,
)

_PROCESS: Final = "speaker.bfd.io.process"


@dataclass(frozen=True, slots=True)
class Counted:
    """What a session did since it, or its process, began."""

    path: Path
    counts: Counts


@dataclass(frozen=True, slots=True)
class SocketsFailed:
    """What does not work, in words; it is tried again. Nothing, once everything works."""

    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BfdRestarted:
    """The process died, and a new one begins all sessions anew. The status is that of its end."""

    status: int


BfdEvent = SessionUp | SessionDown | Counted | SocketsFailed | BfdRestarted


class Bfd:
    """Holds BFD sessions through a process of its own.

    What is wanted is kept here, so the process can be replaced at any time. ``watch`` belongs to
    the loop that runs ``run``, and never waits.
    """

    def __init__(self, on_event: Callable[[BfdEvent], None]) -> None:
        self._on_event = on_event
        self._wanted: dict[Path, Settings] = {}
        self._changed = asyncio.Event()

    def watch(self, wanted: Mapping[Path, Settings]) -> None:
        """Have exactly these sessions. Those that are there already go on undisturbed."""
        self._wanted = dict(islice(wanted.items(), SESSIONS))
        self._changed.set()
        if len(wanted) > SESSIONS:
            text = f"{len(wanted)} sessions are wanted, and at most {SESSIONS} can be held"
            self._on_event(SocketsFailed((text,)))

    async def run(self) -> None:
        """Keep a process running while there is something to watch, until cancelled."""
        loop = asyncio.get_running_loop()
        status: int | None = None
        failures = 0
        while True:
            await self._needed()
            started = loop.time()
            try:
                async with helper_process(_PROCESS) as (process, control):
                    if status is not None:
                        self._on_event(BfdRestarted(status))
                    await self._converse(control)
                    needless = not self._wanted
            except NotStartedError as error:
                self._on_event(SocketsFailed((f"the BFD process is not started: {error}",)))
                failures += 1
                await asyncio.sleep(RESTART.delay(failures))
                continue
            if needless:
                status = None
                continue
            status = process.returncode or 0
            failures = 0 if loop.time() - started >= GOOD_LIFE else failures + 1
            await asyncio.sleep(RESTART.delay(failures - 1))

    async def _needed(self) -> None:
        while not self._wanted:
            self._changed.clear()
            await self._changed.wait()

    async def _converse(self, control: socket.socket) -> None:
        """Feed and hear a process until it is gone, or no longer needed."""
        self._changed.set()
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(self._hear(control), name="bfd-hear")
            feeding = group.create_task(self._feed(control), name="bfd-feed")
            await asyncio.wait({hearing, feeding}, return_when=asyncio.FIRST_COMPLETED)
            hearing.cancel()
            feeding.cancel()

    async def _feed(self, control: socket.socket) -> None:
        """Tell the process what is wanted, as it changes, until that is nothing."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._changed.wait()
                self._changed.clear()
                if not self._wanted:
                    return
                watches = (Watch(PathName.of(path), s) for path, s in self._wanted.items())
                await send(control, encode(Configure(tuple(watches))))

    async def _hear(self, control: socket.socket) -> None:
        assembly = Assembly()
        # A process that sends what is no report is replaced.
        broken = (ConnectionError, ChannelBrokenError, msgspec.DecodeError, ValueError)
        with contextlib.suppress(*broken):
            while (message := await receive(control, assembly)) is not None:
                self._tell(decode_report(message))

    def _tell(self, report: Report) -> None:
        for change in report.changes:
            self._tell_change(change)
        for totals in report.totals:
            if (path := totals.path.path) in self._wanted:
                self._on_event(Counted(path, totals.counts))
        if report.errors is not None:
            self._on_event(SocketsFailed(report.errors))

    def _tell_change(self, change: Change) -> None:
        path = change.path.path
        if path not in self._wanted:
            return  # it was still under way when the session was given up
        if change.fell:
            self._on_event(SessionDown(path, Diagnostic(change.diagnostic), change.on_purpose))
        if change.up:
            self._on_event(SessionUp(path))
