"""An FRR daemon asked over its socket, without a process for each question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_END = b"\0\0\0"  # and one byte that says whether the command was understood


class Vty:
    """One connection, for one question at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, command: str) -> str:
        """Run one command."""
        self._writer.write(command.encode() + b"\0")
        said = await self._reader.readuntil(_END)
        await self._reader.readexactly(1)
        return said.removesuffix(_END).decode()

    async def ask_json(self, command: str) -> dict[str, Any]:
        """Run a command that answers in JSON."""
        answer: dict[str, Any] = json.loads(await self.ask(command) or "{}")
        return answer


@asynccontextmanager
async def vty(socket: Path) -> AsyncIterator[Vty]:
    """Connect to a daemon."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        opened = Vty(reader, writer)
        await opened.ask("enable")
        yield opened
    finally:
        writer.close()
        await writer.wait_closed()
