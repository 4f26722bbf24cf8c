"""A BGP session's TCP connection, as its task sees it."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.trsock import TransportSocket

from metallb_py.addresses import IPAddress

RECEIVED_AT_ONCE = 16384
"""Bytes to look at before others get their turn; four times as many may wait to be read."""

LINGER = 1.0
"""Seconds for the last bytes to leave; then the connection is cut."""

PROBE_AFTER, PROBE_EVERY, GIVE_UP_AFTER = 30, 20, 90
"""Seconds of silence, between TCP's keepalives, and until the peer of a session counts as gone
that agreed on a hold time of 0, where BGP itself would never notice. As fast as MetalLB's default
hold time is."""


class Wire(asyncio.Protocol):
    """Notes what a transport reports until the session's task looks."""

    transport: asyncio.Transport

    def __init__(self, wake: asyncio.Event, local_address: IPAddress) -> None:
        self.local_address = local_address
        self._wake = wake
        self._received = bytearray()
        self.lost: str | None = None
        self.writable = True
        self.closed = asyncio.Event()

    def take(self, limit: int) -> bytes:
        """Return what came in first, up to this many bytes."""
        data = bytes(self._received[:limit])
        del self._received[:limit]
        if len(self._received) < limit:
            self.transport.resume_reading()
        return data

    def have_tcp_watch(self) -> None:
        """Have the kernel cut the connection when the peer answers no more (RFC 1122, RFC 5482)."""
        sock: TransportSocket = self.transport.get_extra_info("socket")
        for option, value in (
            (socket.TCP_KEEPIDLE, PROBE_AFTER),
            (socket.TCP_KEEPINTVL, PROBE_EVERY),
            (socket.TCP_USER_TIMEOUT, GIVE_UP_AFTER * 1000),  # where data waits for its ACK, too
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def close(self) -> None:
        """Close once everything has left, or after LINGER without it."""
        self.transport.close()
        asyncio.get_running_loop().call_later(LINGER, self.transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > 4 * RECEIVED_AT_ONCE:
            self.transport.pause_reading()
        self._wake.set()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._wake.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = "connection closed by peer" if exc is None else plain(exc)
        self.closed.set()
        self._wake.set()


def plain(error: Exception) -> str:
    """Say it as the C library does, without numbers and Python's decoration."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)
