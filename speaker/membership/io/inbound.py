"""Incoming streams of a gossip member: accepted, read and answered, within limits.

``metallb_py.protocols.memberlist.inbound`` decides which of them to close. A stream has no task and
no receive buffer of its own: bytes are read into one buffer shared by all streams, and passed to
the decoder at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.protocols.memberlist.codec.envelope import (
    Drop,
    Envelope,
    EnvelopeError,
    StreamReader,
)
from metallb_py.protocols.memberlist.codec.messages import Endpoint, Message
from metallb_py.protocols.memberlist.events import StreamId
from metallb_py.protocols.memberlist.inbound import Inbound, Limits
from metallb_py.protocols.memberlist.memberlist import Memberlist

STREAM_LIMIT: Final = 2 << 20
"""Most bytes of a message over a stream: some 10,000 members, and under a second of work."""
BACKLOG: Final = 128
"""Length of the kernel's queue of connections to accept."""
TURN: Final = 16
"""Connections accepted in one call, before the event loop serves other sockets."""
RETRY: Final = 0.5
"""Seconds until accepting is retried when the system is out of file descriptors or memory."""
_CHUNK: Final = 16_384
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Listening:
    """Arguments of ``InboundStreams``. ``on_message`` receives the message of a stream."""

    machine: Memberlist
    envelope: Envelope
    limits: Limits
    on_message: Callable[[StreamId, Message], None]


class InboundStreams:
    """Listens from construction until ``close``. Raises OSError if the port can't be bound."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, endpoint: Endpoint, listening: Listening
    ) -> None:
        self.listening = listening
        self.buffer = bytearray(_CHUNK)
        self._loop = loop
        self._machine = listening.machine
        self._inbound = Inbound(listening.limits)
        self._streams: dict[StreamId, _Stream] = {}
        self._last = 1
        self._starting: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._socket = _listen(endpoint)
        self._loop.add_reader(self._socket, self._accept)

    async def close(self) -> None:
        """Close the port and every stream."""
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for task in self._starting:
            task.cancel()
        if self._starting:
            await asyncio.wait(self._starting)
        for stream in list(self._streams.values()):
            stream.abort()

    def reply(self, number: StreamId, data: bytes) -> None:
        """Send an answer over a stream, and close it once the answer is sent."""
        stream = self._streams.get(number)
        if stream is not None:
            self._drop(self._inbound.answered(number, len(data)))
            stream.reply(data)

    def abort(self, number: StreamId) -> None:
        """Close a stream at once. No-op if it has ended."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.abort()

    def received(self, stream: _Stream, data: bytes) -> None:
        """Decode bytes that were received over a stream."""
        reader, now = stream.reader, self._loop.time()
        source_limits, before = self._machine.source_limits, reader.work
        if not source_limits.admit_bytes(stream.source, len(data), now, known=stream.known):
            self._drop((stream.number,))
            return
        try:
            message = reader.feed(data)
        except EnvelopeError as error:
            self._machine.counters.dropped[error.reason] += 1
            source_limits.charge(stream.source, error.work - before, now, known=stream.known)
            stream.abort()
            return
        source_limits.charge(stream.source, reader.work - before, now, known=stream.known)
        self._drop(self._inbound.received(stream.number, len(data), reader.held, now))
        if message is not None and stream.number in self._streams:
            stream.done = True
            self.listening.on_message(stream.number, message)

    def ended(self, stream: _Stream) -> None:
        """Forget a stream that has ended."""
        self._inbound.ended(stream.number)
        self._streams.pop(stream.number, None)

    def _accept(self) -> None:
        for _ in range(TURN):
            try:
                connection, peer = self._socket.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._loop.remove_reader(self._socket)
                    self._retry = self._loop.call_later(RETRY, self._resume_accepting)
                return
            connection.setblocking(False)
            self._admit(connection, ip_address(peer[0].partition("%")[0]))

    def _resume_accepting(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _admit(self, connection: socket.socket, source: IPAddress) -> None:
        now, known = self._loop.time(), self._machine.is_known_host(source)
        if not self._machine.source_limits.admit_stream(source, now, known=known):
            self._machine.counters.dropped[Drop.LIMITED] += 1
            connection.close()
            return
        self._last += 2
        stream = _Stream(self, StreamId(self._last), source, known)
        closed = self._inbound.opened(stream.number, source, now, known=known)
        if stream.number in closed:
            self._machine.counters.dropped[Drop.LIMITED] += 1
            connection.close()
            return
        self._streams[stream.number] = stream
        self._drop(closed)
        self._schedule()
        task = self._loop.create_task(self._start(stream, connection), name="gossip-accept")
        self._starting.add(task)
        task.add_done_callback(partial(self._started, stream, connection))

    async def _start(self, stream: _Stream, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(lambda: stream, connection)

    def _started(
        self, stream: _Stream, connection: socket.socket, task: asyncio.Task[None]
    ) -> None:
        self._starting.discard(task)
        if not stream.is_connected:
            connection.close()
            self.ended(stream)

    def _drop(self, numbers: tuple[StreamId, ...]) -> None:
        for number in numbers:
            self._machine.counters.dropped[Drop.LIMITED] += 1
            self.abort(number)

    def _schedule(self) -> None:
        """Schedule the first deadline, unless a timer is set: later ones are never before it."""
        due = self._inbound.next_deadline()
        if self._timer is None and due is not None:
            self._timer = self._loop.call_at(due, self._on_timeout)

    def _on_timeout(self) -> None:
        self._timer = None
        for number in self._inbound.handle_timeout(self._loop.time()):
            self.abort(number)
        self._schedule()


class _Stream(asyncio.BufferedProtocol):
    """One incoming stream. ``done``: its message is complete, and what follows is ignored."""

    def __init__(
        self, streams: InboundStreams, number: StreamId, source: IPAddress, known: bool
    ) -> None:
        self.number = number
        self.source = source
        self.known = known
        self.done = False
        self.reader = StreamReader(streams.listening.envelope, STREAM_LIMIT)
        self._streams = streams
        self._transport: asyncio.Transport | None = None
        self._aborted = False

    @property
    def is_connected(self) -> bool:
        """Whether the stream has a transport, which then closes the socket."""
        return self._transport is not None

    def abort(self) -> None:
        """Close the stream at once."""
        self._aborted = True
        if self._transport is not None:
            self._transport.abort()
        self._streams.ended(self)

    def reply(self, data: bytes) -> None:
        """Send ``data``, and close the stream."""
        if self._transport is not None:
            self._transport.write(data)
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):  # which that of a TCP connection is
            self._transport = transport
            if self._aborted:
                transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - BufferedProtocol's
        return self._streams.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not (self.done or self._aborted):
            self._streams.received(self, bytes(memoryview(self._streams.buffer)[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._streams.ended(self)


def _listen(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((str(endpoint.address), endpoint.port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
