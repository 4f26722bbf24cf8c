"""Peers for drivers under test: a collector in this process, and sockets that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address

from support.patience import PATIENCE

from metallb_py.lab.collector import Collector, Table
from metallb_py.protocols.bgp.codec.capabilities import FourOctetAsn
from metallb_py.protocols.bgp.codec.framing import FrameReader
from metallb_py.protocols.bgp.codec.messages import Keepalive, Message, Open, decode, encode
from metallb_py.protocols.bgp.negotiation import Settings


class Collecting:
    """A collector and its latest table."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.tables: list[Table] = []
        self._changed = asyncio.Event()

    def note(self, table: Table) -> None:
        self.tables.append(table)
        self._changed.set()

    async def has(self, good: Callable[[Table], bool], within: float = PATIENCE) -> Table:
        """Wait for a table that is good."""
        async with asyncio.timeout(within):
            while not self.tables or not good(self.tables[-1]):
                self._changed.clear()
                await self._changed.wait()
        return self.tables[-1]


@contextlib.asynccontextmanager
async def collecting(host: str, port: int = 179, asn: int = 64513) -> AsyncIterator[Collecting]:
    """Run a collector for the length of a block."""
    notes = Collecting(port)
    collector = Collector(Settings(asn, None), IPv4Address("10.9.9.9"), notes.note)
    server = await collector.serve(host, port)
    try:
        yield notes
    finally:
        collector.close()
        server.close()
        await server.wait_closed()


class Conversation:
    """One accepted connection, read and written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = FrameReader()

    async def hear(self, within: float = PATIENCE) -> Message | None:
        """Return the next message, or None at the end of the stream."""
        async with asyncio.timeout(within):
            while (cut := self._frames.next_frame()) is None:
                data = await self.reader.read(65536)
                if not data:
                    return None
                self._frames.feed(data)
        return decode(cut)

    def accept_open(self, ours: Message | None, hold_time: int = 90) -> None:
        """Answer a speaker's OPEN so that it is content."""
        assert isinstance(ours, Open)
        self.say(Open(64513, hold_time, IPv4Address("10.9.9.9"), (FourOctetAsn(64513),)))
        self.say(Keepalive())

    def say(self, message: Message) -> None:
        """Send a message."""
        self.writer.write(encode(message))


@contextlib.asynccontextmanager
async def listening(host: str, port: int = 179) -> AsyncIterator[asyncio.Queue[Conversation]]:
    """Accept connections, with room for little, and say nothing on them."""
    accepted: asyncio.Queue[Conversation] = asyncio.Queue()
    everyone: list[Conversation] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        everyone.append(Conversation(reader, writer))
        accepted.put_nowait(everyone[-1])

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server = await asyncio.start_server(accept, sock=sock, limit=1024)
    try:
        yield accepted
    finally:
        asyncio.get_running_loop().remove_reader(sock)
        for _ in range(3):  # asyncio loses a connection that is half accepted when it closes
            await asyncio.sleep(0)
        server.close()
        for one in everyone:
            one.writer.transport.abort()
        await server.wait_closed()
