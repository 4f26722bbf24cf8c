"""A program in a namespace, observed by the lines that it prints."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from support.net.waiting import TIMEOUT

T = TypeVar("T")

_LONGEST_LINE = 1 << 20


class EndedError(AssertionError):
    """The program has ended and prints nothing more."""


class Program:
    """A running program, created by ``program``."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.output: list[str] = []
        self.log: list[str] = []
        self._line_added = asyncio.Condition()
        self._streams = 2

    async def find(
        self,
        lines: list[str],
        read: Callable[[str], T | None],
        after: int = 0,
        within: float = TIMEOUT,
    ) -> T:
        """Return the first result of ``read`` that is not None, of the lines from index ``after``.

        Waits for further lines. Raises AssertionError after ``within`` seconds, and EndedError if
        the program ends.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._first(lines, read, after)
        raise AssertionError(f"not printed within {within:g} s{self._last_lines()}")

    async def never(
        self, lines: list[str], read: Callable[[str], T | None], after: int, seconds: float
    ) -> None:
        """Check that ``read`` gives None for every line within ``seconds``.

        Raises AssertionError for a line with a result, and EndedError if the program ends.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                found = await self._first(lines, read, after)
            raise AssertionError(f"printed, although it should not be: {found}")

    async def _first(self, lines: list[str], read: Callable[[str], T | None], after: int) -> T:
        async with self._line_added:
            while True:
                for line in lines[after:]:
                    if (found := read(line)) is not None:
                        return found
                if not self._streams:
                    raise EndedError(f"it has ended{self._last_lines()}")
                after = len(lines)
                await self._line_added.wait()

    def write_line(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self._process.kill()

    def freeze(self) -> None:
        """Stop it (SIGSTOP); its sockets stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    async def gone(self) -> int:
        """Wait for its end; return its status."""
        return await self._process.wait()

    async def _follow(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode(errors="replace").rstrip("\n"))
            async with self._line_added:
                self._line_added.notify_all()
        self._streams -= 1
        async with self._line_added:
            self._line_added.notify_all()

    def _last_lines(self) -> str:
        return "\n".join(["; the last lines are", *self.output[-20:], *self.log[-20:]])


@contextlib.asynccontextmanager
async def program(namespace: str, *command: str) -> AsyncIterator[Program]:
    """Run a program in a namespace for the length of a block; kill it at the end."""
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
    """Run a program to its end; return its output. Raises AssertionError if it fails."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}: {errors.decode()}{printed.decode()}"
    return printed.decode()
