"""TCP connection of a BGP session, as an asyncio protocol for the session's task."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.trsock import TransportSocket

from metallb_py.addresses import IPAddress

RECEIVED_AT_ONCE = 16384
"""Bytes that are handled before other tasks run; up to four times as many are buffered."""

LINGER = 1.0
"""Seconds for the last bytes to be sent; then the connection is aborted."""

PROBE_AFTER, PROBE_EVERY, GIVE_UP_AFTER = 30, 20, 90
"""TCP keepalive of sessions with a hold time of 0, where BGP itself detects no failure.

Seconds without data before the first probe, between probes, and until the connection is closed:
as many as MetalLB's default hold time.
"""


class Connection(asyncio.Protocol):
    """Keeps what a transport reports until the session's task handles it."""

    transport: asyncio.Transport

    def __init__(self, wake: asyncio.Event, local_address: IPAddress) -> None:
        self.local_address = local_address
        self._wake = wake
        self._received = bytearray()
        self.lost: str | None = None
        self.writable = True
        self.closed = asyncio.Event()

    def take(self, limit: int) -> bytes:
        """Return the oldest received bytes, up to ``limit``."""
        data = bytes(self._received[:limit])
        del self._received[:limit]
        if len(self._received) < limit:
            self.transport.resume_reading()
        return data

    def enable_tcp_keepalive(self) -> None:
        """Make the kernel close the connection when the peer is silent (RFC 1122, RFC 5482)."""
        sock: TransportSocket = self.transport.get_extra_info("socket")
        for option, value in (
            (socket.TCP_KEEPIDLE, PROBE_AFTER),
            (socket.TCP_KEEPINTVL, PROBE_EVERY),
            (socket.TCP_USER_TIMEOUT, GIVE_UP_AFTER * 1000),  # also while data is unacknowledged
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def close(self) -> None:
        """Close once everything was sent, or abort after LINGER seconds."""
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
        self.lost = "connection closed by peer" if exc is None else describe_error(exc)
        self.closed.set()
        self._wake.set()


def describe_error(error: Exception) -> str:
    """Return the C library's text of an error, without its number and Python's decoration."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)
