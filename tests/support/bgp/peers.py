"""Peers for drivers under test: a collector in this process, and hand-driven connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address

from support.net.waiting import TIMEOUT, Observable

from metallb_py.lab.collector import Collector, Table
from metallb_py.model.peers import SessionParameters
from metallb_py.protocols.bgp.codec.capabilities import FourOctetAsn
from metallb_py.protocols.bgp.codec.framing import FrameReader
from metallb_py.protocols.bgp.codec.messages import Keepalive, Message, Open, decode, encode


class RunningCollector(Observable):
    """A running collector and its routing tables, the latest one last."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.tables: list[Table] = []

    def note(self, table: Table) -> None:
        self.tables.append(table)
        self.notify()

    async def wait_table(
        self, condition: Callable[[Table], bool], within: float = TIMEOUT
    ) -> Table:
        """Wait for a table that meets a condition; return it."""
        await self.until(lambda: self.tables and condition(self.tables[-1]), within)
        return self.tables[-1]


@contextlib.asynccontextmanager
async def running_collector(
    host: str, port: int = 179, asn: int = 64513
) -> AsyncIterator[RunningCollector]:
    """Run a collector for the length of a block."""
    running = RunningCollector(port)
    collector = Collector(SessionParameters(asn, 0), IPv4Address("10.9.9.9"), running.note)
    server = await collector.serve(host, port)
    try:
        yield running
    finally:
        collector.close()
        server.close()
        await server.wait_closed()


class PeerConnection:
    """One accepted connection, on which the test reads and writes each message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = FrameReader()

    async def receive(self, within: float = TIMEOUT) -> Message | None:
        """Return the next message, or None at the end of the stream."""
        async with asyncio.timeout(within):
            while (frame := self._frames.next_frame()) is None:
                data = await self.reader.read(65536)
                if not data:
                    return None
                self._frames.feed(data)
        return decode(frame)

    def accept_open(self, ours: Message | None, hold_time: int = 90) -> None:
        """Answer a speaker's OPEN with an acceptable OPEN and a KEEPALIVE."""
        assert isinstance(ours, Open)
        self.send(Open(64513, hold_time, IPv4Address("10.9.9.9"), (FourOctetAsn(64513),)))
        self.send(Keepalive())

    def send(self, message: Message) -> None:
        """Send a message."""
        self.writer.write(encode(message))


@contextlib.asynccontextmanager
async def listening(host: str, port: int = 179) -> AsyncIterator[asyncio.Queue[PeerConnection]]:
    """Accept connections with a small receive buffer, and send nothing on them."""
    accepted: asyncio.Queue[PeerConnection] = asyncio.Queue()
    connections: list[PeerConnection] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(PeerConnection(reader, writer))
        accepted.put_nowait(connections[-1])

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
        for connection in connections:
            connection.writer.transport.abort()
        await server.wait_closed()
