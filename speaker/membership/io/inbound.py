"""The streams that other members open to this one: accepted, read, answered, within limits.

``metallb_py.protocols.memberlist.inbound`` decides which of them may stay. A stream has no task and
no buffer of its own: what arrives is read into one buffer of all streams, and goes to the decoder
at once.
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
"""Bytes of a message over a stream at the most: some 10,000 members, and under a second's work."""
BACKLOG: Final = 128
TURN: Final = 16
"""So many connections are accepted before others have their turn."""
RETRY: Final = 0.5
"""Seconds until the next try where the system has no more file descriptors or memory."""
_CHUNK: Final = 16_384
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Listening:
    """What the streams belong to. ``on_message`` takes what came over a stream."""

    machine: Memberlist
    envelope: Envelope
    limits: Limits
    on_message: Callable[[StreamId, Message], None]


class InboundStreams:
    """Listens from its making on until ``close``. Raises OSError where the port can't be had."""

    def __init__(self, endpoint: Endpoint, listening: Listening) -> None:
        self.listening = listening
        self.buffer = bytearray(_CHUNK)
        self._loop = asyncio.get_running_loop()
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
        """Let go of the port and of every stream."""
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
        """Answer over a stream, and close it when the answer is sent."""
        stream = self._streams.get(number)
        if stream is not None:
            self._drop(self._inbound.answered(number, len(data)))
            stream.reply(data)

    def abort(self, number: StreamId) -> None:
        """Close a stream at once. One that is not there is none of ours."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.abort()

    def received(self, stream: _Stream, data: bytes) -> None:
        """Bytes arrived over a stream."""
        reader, now = stream.reader, self._loop.time()
        strangers, before = self._machine.strangers, reader.work
        if not strangers.sends(stream.source, len(data), now, known=stream.known):
            self._drop((stream.number,))
            return
        try:
            message = reader.feed(data)
        except EnvelopeError as error:
            self._machine.tally.dropped[error.reason] += 1
            strangers.cost(stream.source, error.work - before, now, known=stream.known)
            stream.abort()
            return
        strangers.cost(stream.source, reader.work - before, now, known=stream.known)
        self._drop(self._inbound.received(stream.number, len(data), reader.held, now))
        if message is not None and stream.number in self._streams:
            stream.done = True
            self.listening.on_message(stream.number, message)

    def ended(self, stream: _Stream) -> None:
        """A stream is no more."""
        self._inbound.ended(stream.number)
        self._streams.pop(stream.number, None)

    def _accept(self) -> None:
        for _ in range(TURN):
            try:
                connection, peer = self._socket.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._loop.remove_reader(self._socket)
                    self._retry = self._loop.call_later(RETRY, self._again)
                return
            connection.setblocking(False)
            self._admit(connection, ip_address(peer[0].partition("%")[0]))

    def _again(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _admit(self, connection: socket.socket, source: IPAddress) -> None:
        now, known = self._loop.time(), self._machine.knows(source)
        if not self._machine.strangers.connects(source, now, known=known):
            self._machine.tally.dropped[Drop.LIMITED] += 1
            connection.close()
            return
        self._last += 2
        stream = _Stream(self, StreamId(self._last), source, known)
        closed = self._inbound.opened(stream.number, source, now, known=known)
        if stream.number in closed:
            self._machine.tally.dropped[Drop.LIMITED] += 1
            connection.close()
            return
        self._streams[stream.number] = stream
        self._drop(closed)
        self._wait()
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
            self._machine.tally.dropped[Drop.LIMITED] += 1
            self.abort(number)

    def _wait(self) -> None:
        """Come back when the first stream is late; a later one never is before it."""
        due = self._inbound.next_deadline()
        if self._timer is None and due is not None:
            self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        for number in self._inbound.handle_timeout(self._loop.time()):
            self.abort(number)
        self._wait()


class _Stream(asyncio.BufferedProtocol):
    """One stream. ``done``: its message is whole, and what else comes is of no interest."""

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
        """Whether it has a transport, which closes the socket in the end."""
        return self._transport is not None

    def abort(self) -> None:
        """Close it at once."""
        self._aborted = True
        if self._transport is not None:
            self._transport.abort()
        self._streams.ended(self)

    def reply(self, data: bytes) -> None:
        """Send this, and close it."""
        if self._transport is not None:
            self._transport.write(data)
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):  # as that of a TCP connection is
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
