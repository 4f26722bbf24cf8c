"""Processes of the speaker's own: started with a socket to talk over, and gone in the end."""

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

GOOD_LIFE: Final = 10.0
"""A process that lived so long is restarted at once, in seconds; else ``RESTART`` says when."""
RESTART: Final = Backoff(first=0.1, limit=5.0)
# Where the packages lie: the process runs the same code, installed or not.
_ROOT: Final = Path(__file__).parents[2]
# What Python needs to start and import. Nothing else is passed on: the memberlist's key, above all.
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
# How long the process may take to see that it is to end, in seconds.
_GRACE: Final = 1.0


class NotStartedError(MetallbError):
    """A process can't be started now: no descriptors, no memory, too many processes."""


@contextlib.asynccontextmanager
async def helper_process(
    module: str, *arguments: str
) -> AsyncIterator[tuple[Process, socket.socket]]:
    """Run a module while this is entered; make sure that it is gone afterwards.

    Its first argument is the descriptor of its end of a socket pair of packets, whose other end
    this yields, not blocking. Raises NotStartedError.
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
            # The terminal's Ctrl-C is for us; the process ends when we let it go.
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
    """Return the next message that the speaker received; None at the end of the channel.

    Raises ChannelBrokenError, OSError.
    """
    loop = asyncio.get_running_loop()
    while part := await loop.sock_recv(control, PART_LIMIT):
        message = assembly.add(part)
        if message is not None:
            return message
    return None


async def _end(process: Process) -> None:
    """Wait for a process that was let go; kill it where it does not see that, or we are to end."""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
