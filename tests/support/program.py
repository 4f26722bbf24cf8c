"""A program that runs in a namespace and is followed by the lines that it prints."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from support.patience import PATIENCE

T = TypeVar("T")

_LONGEST_LINE = 1 << 20


class EndedError(AssertionError):
    """The program has ended and will say nothing more."""


class Program:
    """A running program. Make it with ``program``."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.output: list[str] = []
        self.log: list[str] = []
        self._news = asyncio.Condition()
        self._streams = 2

    async def find(
        self,
        lines: list[str],
        read: Callable[[str], T | None],
        after: int = 0,
        within: float = PATIENCE,
    ) -> T:
        """Return what is read from the first line, of those after a number, that says anything.

        Such a line may still be to come. Raises AssertionError where it does not in time, and
        EndedError where it can't any more.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._first(lines, read, after)
        raise AssertionError(f"not said within {within:g} s{self._last_lines()}")

    async def never(
        self, lines: list[str], read: Callable[[str], T | None], after: int, seconds: float
    ) -> None:
        """See that no line says anything for so long. Raises AssertionError where one does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                found = await self._first(lines, read, after)
            raise AssertionError(f"said, although it should not be: {found}")

    async def _first(self, lines: list[str], read: Callable[[str], T | None], after: int) -> T:
        async with self._news:
            while True:
                for line in lines[after:]:
                    if (found := read(line)) is not None:
                        return found
                if not self._streams:
                    raise EndedError(f"it has ended{self._last_lines()}")
                after = len(lines)
                await self._news.wait()

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()

    def freeze(self) -> None:
        """Make it mute and deaf, with its sockets open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def gone(self) -> int:
        """Wait until it has ended; return its status."""
        return await self._process.wait()

    async def _follow(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode(errors="replace").rstrip("\n"))
            async with self._news:
                self._news.notify_all()
        self._streams -= 1
        async with self._news:
            self._news.notify_all()

    def _last_lines(self) -> str:
        return "\n".join(["; the last lines are", *self.output[-20:], *self.log[-20:]])


@contextlib.asynccontextmanager
async def program(namespace: str, *command: str) -> AsyncIterator[Program]:
    """Run a program in a namespace; kill it in the end."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, *command,
        stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LONGEST_LINE,
    )  # fmt: skip
    made = Program(process)
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        asyncio.create_task(made._follow(process.stdout, made.output)),
        asyncio.create_task(made._follow(process.stderr, made.log)),
    ]
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(*readers)


async def output(namespace: str, *command: str) -> str:
    """Run a program to its end; return what it printed. Raises AssertionError where it failed."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}: {complaint.decode()}{printed.decode()}"
    return printed.decode()
