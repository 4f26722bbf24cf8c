"""A client of an FRR daemon's vty socket, which needs no process for each command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_END = b"\0\0\0"  # followed by a status byte


class Vty:
    """A connection, for one command at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def run(self, command: str) -> str:
        """Run one command; return its output."""
        self._writer.write(command.encode() + b"\0")
        output = await self._reader.readuntil(_END)
        await self._reader.readexactly(1)
        return output.removesuffix(_END).decode()

    async def run_json(self, command: str) -> dict[str, Any]:
        """Run a command with JSON output; return it decoded."""
        output: dict[str, Any] = json.loads(await self.run(command) or "{}")
        return output


@asynccontextmanager
async def vty(socket: Path) -> AsyncIterator[Vty]:
    """Connect to a daemon for the length of a block."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        opened = Vty(reader, writer)
        await opened.run("enable")
        yield opened
    finally:
        writer.close()
        await writer.wait_closed()
