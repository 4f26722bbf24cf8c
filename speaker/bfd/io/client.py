"""Handle on the speaker's BFD process: starts, configures and restarts it, receives its reports.

The process runs only while a session is wanted.
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
    RESTART,
    STABLE_AFTER,
    NotStartedError,
    helper_process,
    receive,
    send,
)

_PROCESS: Final = "speaker.bfd.io.process"


@dataclass(frozen=True, slots=True)
class Counted:
    """Counters of a session since it, or its process, started."""

    path: Path
    counts: Counts


@dataclass(frozen=True, slots=True)
class SocketsFailed:
    """Errors as text, which are retried; empty once everything works."""

    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BfdRestarted:
    """The process died with exit status ``status``; a new one starts all sessions anew."""

    status: int


BfdEvent = SessionUp | SessionDown | Counted | SocketsFailed | BfdRestarted


class Bfd:
    """Holds BFD sessions through a process of its own.

    The wanted sessions are kept here, so the process can be replaced at any time. ``watch`` is
    called from the loop that runs ``run``, and does not block.
    """

    def __init__(self, on_event: Callable[[BfdEvent], None]) -> None:
        self._on_event = on_event
        self._wanted: dict[Path, Settings] = {}
        self._changed = asyncio.Event()

    def watch(self, wanted: Mapping[Path, Settings]) -> None:
        """Hold exactly these sessions. Those that exist already are not disturbed."""
        self._wanted = dict(islice(wanted.items(), SESSIONS))
        self._changed.set()
        if len(wanted) > SESSIONS:
            text = f"{len(wanted)} sessions are wanted, and at most {SESSIONS} can be held"
            self._on_event(SocketsFailed((text,)))

    async def run(self) -> None:
        """Keep a process running while sessions are wanted, until cancelled."""
        loop = asyncio.get_running_loop()
        status: int | None = None
        failures = 0
        while True:
            await self._wait_until_needed()
            started = loop.time()
            try:
                async with helper_process(_PROCESS) as (process, control):
                    if status is not None:
                        self._on_event(BfdRestarted(status))
                    await self._run_channel(control)
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
            failures = 0 if loop.time() - started >= STABLE_AFTER else failures + 1
            await asyncio.sleep(RESTART.delay(failures - 1))

    async def _wait_until_needed(self) -> None:
        while not self._wanted:
            self._changed.clear()
            await self._changed.wait()

    async def _run_channel(self, control: socket.socket) -> None:
        """Send commands and receive reports until the process ends, or is no longer needed."""
        self._changed.set()
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive_loop(control), name="bfd-receive")
            sending = group.create_task(self._send_loop(control), name="bfd-send")
            await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            receiving.cancel()
            sending.cancel()

    async def _send_loop(self, control: socket.socket) -> None:
        """Send the wanted sessions, as they change, until there are none."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._changed.wait()
                self._changed.clear()
                if not self._wanted:
                    return
                watches = (Watch(PathName.of(path), s) for path, s in self._wanted.items())
                await send(control, encode(Configure(tuple(watches))))

    async def _receive_loop(self, control: socket.socket) -> None:
        assembly = Assembly()
        # A process that sends an invalid report is replaced.
        broken = (ConnectionError, ChannelBrokenError, msgspec.DecodeError, ValueError)
        with contextlib.suppress(*broken):
            while (message := await receive(control, assembly)) is not None:
                self._publish(decode_report(message))

    def _publish(self, report: Report) -> None:
        for change in report.changes:
            self._publish_change(change)
        for totals in report.totals:
            if (path := totals.path.path) in self._wanted:
                self._on_event(Counted(path, totals.counts))
        if report.errors is not None:
            self._on_event(SocketsFailed(report.errors))

    def _publish_change(self, change: Change) -> None:
        path = change.path.path
        if path not in self._wanted:
            return  # it was sent before the process removed the session
        if change.went_down:
            self._on_event(SessionDown(path, Diagnostic(change.diagnostic), change.peer_admin_down))
        if change.up:
            self._on_event(SessionUp(path))
