"""The sockets of a gossip member, around ``memberlist.Memberlist``, which decides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Final

from metallb_py.protocols.memberlist.codec.envelope import (
    Envelope,
    EnvelopeError,
    StreamReader,
)
from metallb_py.protocols.memberlist.codec.messages import Endpoint, Message
from metallb_py.protocols.memberlist.events import (
    CloseStream,
    ClusterEvent,
    Effect,
    Member,
    OpenStream,
    Reply,
    SendPacket,
    StreamId,
)
from metallb_py.protocols.memberlist.inbound import Limits
from metallb_py.protocols.memberlist.memberlist import Memberlist
from metallb_py.protocols.memberlist.members import Speakers
from metallb_py.protocols.memberlist.random import Random
from metallb_py.protocols.memberlist.settings import Settings
from speaker.linux.datagrams import Datagrams
from speaker.membership.io.inbound import STREAM_LIMIT, InboundStreams, Listening

STREAMS: Final = 64
"""Most streams that this member opens at once; more wait."""
_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """Arguments of ``Memberlist``."""

    me: Member
    settings: Settings
    envelope: Envelope
    rng: Random


class GossipNode:
    """A member while ``run`` runs, on one event loop. ``report`` receives its events."""

    @classmethod
    def open(cls, membership: MemberConfig, report: Callable[[ClusterEvent], None]) -> GossipNode:
        """Bind the port, UDP and TCP. Raises OSError. ``run`` and ``close`` must follow."""
        datagrams = Datagrams(membership.me.endpoint)
        try:
            return cls(membership, report, datagrams)
        except OSError:
            datagrams.close()
            raise

    def __init__(
        self, membership: MemberConfig, report: Callable[[ClusterEvent], None], datagrams: Datagrams
    ) -> None:
        self._membership = membership
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._datagrams = datagrams
        self.machine = Memberlist(
            membership.me,
            membership.settings,
            membership.envelope,
            membership.rng,
            self._loop.time(),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._stream_slots = asyncio.Semaphore(STREAMS)
        self._tasks: set[asyncio.Task[None]] = set()
        limits = Limits.within(membership.settings.tcp_timeout)
        listening = Listening(self.machine, membership.envelope, limits, self._on_message)
        self._inbound = InboundStreams(membership.me.endpoint, listening)

    async def run(self) -> None:
        """Run until cancelled."""
        self._loop.add_reader(self._datagrams.fileno(), self._receive)
        try:
            self._schedule()
            await self._loop.create_future()
        finally:
            self._loop.remove_reader(self._datagrams.fileno())

    async def close(self) -> None:
        """Close the port and all streams, without leaving the cluster."""
        self._datagrams.close()
        await self._inbound.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def expect(self, speakers: Speakers) -> None:
        """Set the expected members."""
        self.machine.expect(speakers)

    def join(self, endpoints: Iterable[Endpoint]) -> None:
        """Join at endpoints."""
        self._perform(self.machine.join(endpoints, self._loop.time()))

    def update(self, meta: bytes) -> None:
        """Announce new metadata of this member."""
        self._perform(self.machine.update(meta, self._loop.time()))

    def leave(self) -> None:
        """Leave the cluster, and keep broadcasting the departure."""
        self._perform(self.machine.leave(self._loop.time()))

    # Datagrams and time

    def _receive(self) -> None:
        for target in self._datagrams.refusals():
            self._perform(self.machine.refused(target, self._loop.time()))
        for data, source in self._datagrams.receive():
            self._perform(self.machine.receive(data, source, self._loop.time()))

    def _on_timeout(self) -> None:
        self._timer = None
        self._perform(self.machine.handle_timeout(self._loop.time()))

    def _perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case SendPacket(to, data):
                    self._datagrams.send(to, data)
                case OpenStream():
                    self._start(self._run_stream(effect))
                case Reply(stream, data):
                    self._inbound.reply(stream, data)
                case CloseStream(stream):
                    self._inbound.abort(stream)
                case _:
                    self._report(effect)
        self._schedule()

    def _schedule(self) -> None:
        due = self.machine.next_deadline()
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timeout)

    # Streams

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work, name="gossip-stream")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_stream(self, effect: OpenStream) -> None:
        """Perform one exchange over a stream of ours, and pass the answer or failure on."""
        refused = False
        try:
            async with asyncio.timeout_at(effect.deadline), self._stream_slots:
                message = await self._exchange(effect)
        except EnvelopeError as error:
            self.machine.counters.dropped[error.reason] += 1
            failure = str(error)
        except TimeoutError:
            failure = "no answer in time"
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            failure = error.strerror or str(error)
        else:
            self._perform(self.machine.stream_received(effect.stream, message, self._loop.time()))
            return
        now = self._loop.time()
        self._perform(self.machine.stream_failed(effect.stream, failure, now, refused=refused))

    async def _exchange(self, effect: OpenStream) -> Message:
        address, port = str(effect.to.address), effect.to.port
        here = (str(self._membership.me.endpoint.address), 0)
        reader, writer = await asyncio.open_connection(address, port, local_addr=here)
        try:
            writer.write(effect.data)
            return await self._read(reader)
        finally:
            await _abort(writer)

    def _on_message(self, stream: StreamId, message: Message) -> None:
        """Handle the message of an incoming stream."""
        self._perform(self.machine.stream_received(stream, message, self._loop.time()))

    async def _read(self, reader: asyncio.StreamReader) -> Message:
        """Read the answer. Raises EnvelopeError, OSError."""
        parser = StreamReader(self._membership.envelope, STREAM_LIMIT, reply=True)
        while data := await reader.read(_CHUNK):
            message = parser.feed(data)
            if message is not None:
                return message
        raise ConnectionAbortedError("connection closed without an answer")


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
