"""HTTP server of the daemons, for metrics, probes and the webhook, hardened against its clients.

Every connection is a task that owns its socket. Every wait for the client has a timeout, and
``Connections`` selects the connection to close when there are too many. Connections are accepted
here and not by asyncio, which logs a traceback for each failed accept, and counts no TLS connection
before its handshake is complete. A few file descriptors are reserved, so that a process that has
run out of them still answers its probes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final

from metallb_py.protocols.http import (
    CONTINUE,
    HEAD_END,
    HttpError,
    RequestHead,
    decode_head,
    encode_head,
)
from metallb_py.rate_limit import Rate, RateLimiter
from metallb_py.runtime.connections import Connection, Connections, Limits, Phase
from metallb_py.runtime.log import Logger
from metallb_py.runtime.tasks import describe

BACKLOG: Final = 128
RESERVED_DESCRIPTORS: Final = 4
# Several times the size of an ordinary request.
HEAD_BYTES: Final = 16 << 10
CHUNK: Final = 64 << 10
# Seconds to wait for a free file descriptor, or for tokens to accept with.
PAUSE: Final = 0.1
# Seconds to keep reading after an error response, so that the client reads the response before its
# own writes fail.
LINGER: Final = 1.0
# Seconds between two requests of a connection from a source that exceeds REQUEST_RATE.
PACE: Final = 0.5
REQUEST_RATE: Final = Rate(burst=40, per_second=20)
ACCEPT_RATE: Final = Rate(burst=1000, per_second=500)
LOG_RATE: Final = Rate(burst=3, per_second=1 / 60)
UNLIMITED: Final = Rate(burst=1 << 30, per_second=1 << 30)
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends RST
NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a client may take."""

    handshake: float = 5.0
    """For the TLS handshake."""
    head: float = 5.0
    """For the first head from the end of the handshake, for later ones from their first byte."""
    body: float = 5.0
    """For a body; in our manifests an API server abandons its own call after 5 s."""
    write: float = 10.0
    """For reading a response."""
    idle: float = 120.0
    """Between two requests.

    Must exceed the 90 s after which Go's clients close an idle connection themselves: if the server
    closed it first, a request that is on its way would be lost.
    """


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request.

    ``names`` are the common names of the verified client certificate, None without one.
    """

    head: RequestHead
    body: bytes
    source: str
    names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"
    fields: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


class _Client(Connection):
    """A connection with its socket, its task and its transport."""

    __slots__ = ("names", "sock", "task", "transport")

    def __init__(self, source: str, now: float, sock: socket.socket) -> None:
        super().__init__(source, now)
        self.sock = sock
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.names: frozenset[str] | None = None

    def evict(self) -> None:
        """Close the connection and cancel the task that serves it."""
        if self.task is not None:
            self.task.cancel()
        self.abort()

    def abort(self) -> None:
        """Close at once, with RST: the kernel drops data that the client does not read.

        No effect on a connection that is closed already.
        """
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if self.transport is not None:
            self.transport.abort()


class HttpServer:
    """Serves ``handle``; ``tls`` returns a context for each new connection, None for plain HTTP."""

    def __init__(
        self,
        handle: Handler,
        log: Logger,
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        max_body: int = 0,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._handle = handle
        self._log = log
        self._timeouts = timeouts or Timeouts()
        self._max_body = max_body
        self._tls = tls
        self._connections: Connections[_Client] = Connections(limits or Limits())
        self._reserve: list[int] = []
        self._accepts = RateLimiter(ACCEPT_RATE, ACCEPT_RATE)
        self._requests = RateLimiter(REQUEST_RATE, UNLIMITED)
        self._reports = RateLimiter(LOG_RATE, LOG_RATE)

    async def run(self, listeners: list[socket.socket]) -> None:
        """Serve on these sockets until cancelled; then close them and all connections."""
        self._refill_reserve()
        try:
            async with asyncio.TaskGroup() as group:
                for listener in listeners:
                    group.create_task(self._accept(listener, group), name="http accept")
        finally:
            for listener in listeners:
                listener.close()
            while self._reserve:
                os.close(self._reserve.pop())

    # Accepting

    async def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # One connection per turn of the loop, which has other work.
            await asyncio.sleep(0 if self._accepts.admit(None, loop.time()) else PAUSE)
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as error:
                await self._free_descriptor(error)
            else:
                self._start(_Client(str(address[0]), loop.time(), sock), group)

    def _start(self, client: _Client, group: asyncio.TaskGroup) -> None:
        victim = self._connections.admit(client)
        if victim is client:
            client.sock.close()
            return
        if victim is not None:
            victim.evict()
        client.task = group.create_task(self._serve(client), name="http connection")
        client.task.add_done_callback(partial(self._ended, client))

    def _ended(self, client: _Client, _: asyncio.Task[None]) -> None:
        # Here and not in the task, which may be cancelled before it has started.
        client.abort()
        client.sock.close()
        # A cancelled task references its frames, and they the client and 256 KiB of TLS buffers:
        # without this they would stay until the garbage collector's next full run.
        client.task = client.transport = None
        self._connections.closed(client)
        self._refill_reserve()

    async def _free_descriptor(self, error: OSError) -> None:
        """Free a file descriptor for the next accept, or wait."""
        self._report("accept", "cannot accept a connection", error)
        if error.errno in NO_DESCRIPTORS and self._reserve:
            os.close(self._reserve.pop())
        elif error.errno in NO_DESCRIPTORS and (victim := self._connections.evict()):
            victim.evict()
            for _ in range(3):  # asyncio closes the socket in the loop's next turn
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(PAUSE)

    def _refill_reserve(self) -> None:
        with suppress(OSError):
            while len(self._reserve) < RESERVED_DESCRIPTORS:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    # One connection

    async def _serve(self, client: _Client) -> None:
        try:
            reader, writer = await self._open(client)
            try:
                await self._serve_requests(client, reader, writer)
            finally:
                client.abort()
        except (OSError, EOFError):
            pass  # disconnected, timed out (TimeoutError is an OSError), or a TLS error
        except Exception as error:  # the root of a connection's task: a bug ends only this one
            self._report("handler", "failed to answer a request", error)

    async def _open(self, client: _Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=HEAD_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        tls = self._tls() if self._tls else None
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            client.sock,
            ssl=tls,
            ssl_handshake_timeout=self._timeouts.handshake if tls else None,
            ssl_shutdown_timeout=LINGER if tls else None,
        )
        client.transport = transport
        # Drained means passed to the kernel: data that a client does not read is not buffered here
        # as well. (Not 0: over TLS, asyncio pauses at that and never resumes.)
        transport.set_write_buffer_limits(high=1, low=0)
        client.names = _verified_names(transport)
        client.authenticated = client.names is not None
        client.enter(Phase.IDLE, loop.time())
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _serve_requests(
        self, client: _Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        time_limit = self._timeouts.head
        keep_alive = True
        while keep_alive:
            try:
                head = await self._read_head(client, reader, time_limit)
                body = await self._read_body(client, reader, writer, head)
            except HttpError as error:
                response = Response(f"{error}\n".encode(), error.status)
                await self._write(client, writer, response, head=None, keep_alive=False)
                await _linger(reader)
                break
            client.enter(Phase.HANDLING, loop.time())
            response = await self._handle(Request(head, body, client.source, client.names))
            del body
            self._connections.release(client)
            keep_alive = head.keep_alive
            await self._write(client, writer, response, head=head, keep_alive=keep_alive)
            client.enter(Phase.IDLE, loop.time())
            time_limit = self._timeouts.idle
            if keep_alive and self._requests.admit(client.source, loop.time()) is None:
                await asyncio.sleep(PACE)
        async with asyncio.timeout(LINGER):
            writer.close()
            await writer.wait_closed()

    async def _read_head(
        self, client: _Client, reader: asyncio.StreamReader, time_limit: float
    ) -> RequestHead:
        async with asyncio.timeout(time_limit):
            first = await reader.readexactly(1)
            while first in b"\r\n":  # RFC 9112 2.2: empty lines before a request are ignored
                first = await reader.readexactly(1)
        client.enter(Phase.HEAD, asyncio.get_running_loop().time())
        async with asyncio.timeout(self._timeouts.head):
            try:
                rest = await reader.readuntil(HEAD_END)
            except asyncio.LimitOverrunError:
                raise HttpError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"request head: want at most {HEAD_BYTES} bytes",
                ) from None
        return decode_head(first + rest)

    async def _read_body(
        self,
        client: _Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        head: RequestHead,
    ) -> bytes:
        length = head.content_length
        if length > self._max_body:
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"body of {length} bytes: want at most {self._max_body}",
            )
        if not length:
            return b""
        client.enter(Phase.BODY, asyncio.get_running_loop().time())
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._timeouts.body):
                if head.expects_continue:
                    writer.write(CONTINUE)
                while length:
                    chunks.append(await reader.read(min(CHUNK, length)))
                    if not chunks[-1]:
                        raise EOFError
                    length -= len(chunks[-1])
                    for victim in self._connections.receive(client, len(chunks[-1])):
                        victim.evict()
            return b"".join(chunks)
        finally:
            chunks.clear()  # frees them now, even if this frame stays referenced

    async def _write(
        self,
        client: _Client,
        writer: asyncio.StreamWriter,
        response: Response,
        *,
        head: RequestHead | None,
        keep_alive: bool,
    ) -> None:
        client.enter(Phase.WRITING, asyncio.get_running_loop().time())
        fields = {"Content-Type": response.content_type, **response.fields}
        body = response.body
        async with asyncio.timeout(self._timeouts.write):
            writer.write(encode_head(response.status, fields, len(body), keep_alive=keep_alive))
            if head is None or head.method != "HEAD":
                # In chunks: all connections may be sent the same large page, and each buffers one.
                view = memoryview(body)
                for start in range(0, len(view), CHUNK):
                    writer.write(view[start : start + CHUNK])
                    await writer.drain()
            await writer.drain()

    def _report(self, operation: str, message: str, error: Exception) -> None:
        admitted = self._reports.admit(operation, asyncio.get_running_loop().time())
        if admitted is not None:
            self._log.error(
                message, op=operation, error=describe(error), suppressed=admitted.suppressed
            )


async def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of ``host``; empty means all, of IPv4 and IPv6.

    Raises OSError where a port is in use, or an address is not available.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, address in sorted(set(found)):
            listeners.extend(_listener(family, address, optional=not host))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listener(family: int, address: tuple[object, ...], *, optional: bool) -> list[socket.socket]:
    """Return the socket; none for an ``optional`` address of a family that the host lacks."""
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if optional and error.errno == errno.EAFNOSUPPORT:
            return []
        raise
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if optional and error.errno == errno.EADDRNOTAVAIL:
            return []
        raise
    return [listener]


async def _linger(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(LINGER):
        while await reader.read(CHUNK):
            pass


def _verified_names(transport: asyncio.Transport) -> frozenset[str] | None:
    """Return the common names of the client certificate, None without one.

    OpenSSL has verified the certificate.
    """
    certificate = transport.get_extra_info("peercert")
    if not certificate:
        return None
    names = [pair for part in certificate.get("subject", ()) for pair in part]
    return frozenset(value for key, value in names if key == "commonName")
