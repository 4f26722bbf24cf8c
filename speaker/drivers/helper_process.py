"""Processes of the speaker's own: started with a socket to talk over, and gone in the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from metallb_py.backoff import Backoff
from speaker.drivers.channel import PART_LIMIT, Assembly, split

GOOD_LIFE: Final = 10.0
"""A process that lived so long is restarted at once, in seconds; else ``RESTART`` says when."""
RESTART: Final = Backoff(first=0.1, limit=5.0)
# Where the packages lie: the process runs the same code, installed or not.
_ROOT: Final = Path(__file__).parents[2]
# How long the process may take to see that it is to end, in seconds.
_GRACE: Final = 1.0


@contextlib.asynccontextmanager
async def helper_process(
    module: str, *arguments: str
) -> AsyncIterator[tuple[Process, socket.socket]]:
    """Run a module while this is entered; make sure that it is gone afterwards.

    Its first argument is the descriptor of its end of a socket pair of packets, whose other end
    this yields, not blocking.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                str(theirs.fileno()),
                *arguments,
                cwd=_ROOT,
                stdin=DEVNULL,
                pass_fds=(theirs.fileno(),),
                # The terminal's Ctrl-C is for us; the process ends when we let it go.
                start_new_session=True,
            )
        ours.setblocking(False)
        try:
            yield process, ours
        finally:
            ours.close()
            await _end(process)


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
