"""Helper processes of the speaker: started with one end of a channel, and always ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from metallb_py.backoff import Backoff
from metallb_py.errors import MetallbError
from speaker.linux.channel import PART_LIMIT, Assembly, split

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


class NotStartedError(MetallbError):
    """A process can't be started: no descriptors, no memory, or too many processes."""


@contextlib.asynccontextmanager
async def helper_process(
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
