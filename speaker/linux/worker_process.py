"""Worker processes of the speaker: each is kept running, and ends with the task that runs it.

``WorkerProcess`` starts the process with one end of a channel, sends it commands, receives its
messages and replaces it when it dies. The process' own part is ``speaker.linux.event_loop``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from metallb_py.backoff import Backoff
from metallb_py.errors import MetallbError
from speaker.linux.channel import PART_LIMIT, Assembly, ChannelBrokenError, split

STABLE_AFTER: Final = 10.0
"""Seconds; a process that lived longer is restarted at once, else after a ``RESTART`` delay."""
RESTART: Final = Backoff(first=0.1, limit=5.0)
"""Delays before a process is restarted, by the number of failures in a row."""
# The parent folder of the packages: the process runs the same code, installed or not.
_ROOT: Final = Path(__file__).parents[2]
# The variables that Python needs to start and import. No other is passed on, in particular not
# memberlist's key.
_ENVIRONMENT: Final = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
)
# Seconds in which the process has to end after its channel was closed.
_GRACE: Final = 1.0
# A process that sends what can't be decoded is replaced, like one that closes the channel.
# RecursionError: values nested too deep.
_BROKEN: Final = (
    ConnectionError,
    ChannelBrokenError,
    msgspec.DecodeError,
    RecursionError,
    ValueError,
)


E = TypeVar("E")


class NotStartedError(MetallbError):
    """A process can't be started: no descriptors, no memory, or too many processes."""


@dataclass(frozen=True, slots=True)
class WorkerRestarted:
    """The process died; a new one takes over. ``status`` is the exit status of the old one.

    A negative status is the number of the signal that killed it.
    """

    status: int


@dataclass(frozen=True, slots=True)
class WorkerNotStarted:
    """The process can't be started; this is retried. ``error`` is text."""

    error: str


WorkerEvent = WorkerRestarted | WorkerNotStarted


class WorkerProcess(Generic[E]):
    """A module that runs as a process while it is needed, and the exchange of messages with it.

    The process can be replaced at any time, so its owner keeps all state. ``commands`` returns the
    encoded commands that the process has not received yet; it is called with True for a new
    process, which has received none. ``decode`` returns the events in a message from the process,
    and raises ValueError or msgspec.DecodeError for an invalid one.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        commands: Callable[[bool], Iterable[bytes]],
        decode: Callable[[bytes], Iterable[E]],
        needed: bool = True,
    ) -> None:
        self._line = (module, *arguments)
        self._commands = commands
        self._decode = decode
        self._needed = needed
        self._updated = asyncio.Event()
        self._running = False

    @property
    def is_running(self) -> bool:
        """Whether the process runs; false between its death and the restart."""
        return self._running

    def update(self, *, needed: bool = True) -> None:
        """Send the commands that are new. Start the process if it is needed now, else end it.

        It does not block; it has to be called in the event loop that runs ``run``.
        """
        self._needed = needed
        self._updated.set()

    async def run(self, on_event: Callable[[E | WorkerEvent], None]) -> None:
        """Keep the process running while it is needed, until cancelled; then end it."""
        loop = asyncio.get_running_loop()
        status: int | None = None
        failures = 0
        while True:
            await self._wait_until_needed()
            started = loop.time()
            try:
                async with worker_process(*self._line) as (process, control):
                    if status is not None:
                        on_event(WorkerRestarted(status))
                    ended = await self._run_channel(control, on_event)
            except NotStartedError as error:
                on_event(WorkerNotStarted(str(error)))
                failures += 1
                await asyncio.sleep(RESTART.delay(failures))
                continue
            if ended:
                status = None
                continue
            status = process.returncode or 0
            failures = 0 if loop.time() - started >= STABLE_AFTER else failures + 1
            await asyncio.sleep(RESTART.delay(failures - 1))

    async def _wait_until_needed(self) -> None:
        while not self._needed:
            self._updated.clear()
            await self._updated.wait()

    async def _run_channel(
        self, control: socket.socket, on_event: Callable[[E | WorkerEvent], None]
    ) -> bool:
        """Send commands and receive messages until the process ends, or is no longer needed.

        Return whether it was not needed, even if it is needed again by now.
        """
        self._running = True
        async with asyncio.TaskGroup() as group:
            name = self._line[0]
            receiving = group.create_task(self._receive_loop(control, on_event), name=f"{name} in")
            sending = group.create_task(self._send_loop(control), name=f"{name} out")
            await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            self._running = False
            receiving.cancel()
            sending.cancel()
        return not self._needed or (not sending.cancelled() and sending.result())

    async def _send_loop(self, control: socket.socket) -> bool:
        """Send commands until the process is no longer needed; return False if it ended before."""
        fresh = True
        with contextlib.suppress(ConnectionError):
            while self._needed:
                self._updated.clear()
                for command in self._commands(fresh):
                    await send(control, command)
                fresh = False
                await self._updated.wait()
            return True
        return False

    async def _receive_loop(
        self, control: socket.socket, on_event: Callable[[E | WorkerEvent], None]
    ) -> None:
        assembly = Assembly()
        with contextlib.suppress(*_BROKEN):
            while (message := await receive(control, assembly)) is not None:
                for event in self._decode(message):
                    on_event(event)
                # Receiving does not suspend the task while messages are queued.
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def worker_process(
    module: str, *arguments: str
) -> AsyncIterator[tuple[Process, socket.socket]]:
    """Run a module as a process for the duration of the context; it has ended afterwards.

    The module's first argument is the descriptor of its end of a SOCK_SEQPACKET pair. The context
    yields the process and the other end, non-blocking. Raises NotStartedError.
    """
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as error:
        raise NotStartedError(str(error)) from error
    with ours:
        with theirs:
            process = await _start(module, str(theirs.fileno()), *arguments, keep=theirs.fileno())
        ours.setblocking(False)
        try:
            yield process, ours
        finally:
            ours.close()
            await _end(process)


async def _start(module: str, *arguments: str, keep: int) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=_ROOT,
            stdin=DEVNULL,
            env=_environment(os.environ),
            pass_fds=(keep,),  # all others are closed
            # Ctrl-C in the terminal signals the speaker alone; the process ends with its channel.
            start_new_session=True,
        )
    except OSError as error:
        raise NotStartedError(str(error)) from error


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: ours[name] for name in _ENVIRONMENT if name in ours}


async def send(control: socket.socket, message: bytes) -> None:
    """Send a message from the speaker. Raises MessageTooLongError, OSError."""
    loop = asyncio.get_running_loop()
    for part in split(message):
        await loop.sock_sendall(control, part)


async def receive(control: socket.socket, assembly: Assembly) -> bytes | None:
    """Return the next message from the process; None at the end of the channel.

    Raises ChannelBrokenError, OSError.
    """
    loop = asyncio.get_running_loop()
    while part := await loop.sock_recv(control, PART_LIMIT):
        message = assembly.add(part)
        if message is not None:
            return message
    return None


async def _end(process: Process) -> None:
    """Wait for a process whose channel is closed; kill it after _GRACE, or on cancellation."""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
