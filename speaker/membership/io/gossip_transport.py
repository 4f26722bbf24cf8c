"""A member of the gossip cluster: sockets and timers around ``Memberlist``, which decides."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Final

from metallb_py.protocols.memberlist.codec.envelope import (
    Drop,
    Envelope,
    EnvelopeError,
    StreamReader,
)
from metallb_py.protocols.memberlist.codec.messages import Endpoint, Kind, Message, State
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
from metallb_py.protocols.memberlist.members import Random, Speakers
from metallb_py.protocols.memberlist.settings import Settings
from speaker.linux.datagrams import Datagrams
from speaker.membership.io.inbound import STREAM_LIMIT, InboundStreams, Listening

REPORT_INTERVAL: Final = 1.0
"""Seconds between reports of traffic."""
STREAMS: Final = 64
"""Most streams that this member opens at once; more wait."""
_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """Arguments of ``Memberlist``, at the start."""

    me: Member
    """This member, with its metadata, and the endpoint to bind, UDP and TCP."""
    settings: Settings
    """Intervals and timeouts."""
    envelope: Envelope
    """Label, keys and compression of packets and streams."""
    rng: Random
    """Source of randomness."""
    expected: Speakers | None = None
    """Expected members and their addresses; None before they are known."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters since the last report, and the present state."""

    received: Counter[Kind]
    """Messages received since the last report, by kind."""
    sent: Counter[Kind]
    """Messages sent since the last report, by kind."""
    dropped: Counter[Drop]
    """Datagrams, messages and streams dropped since the last report, by reason."""
    members: Counter[State]
    """Members in the table, this one included, by state."""
    health: int
    """Local health score; 0 is healthy."""


class GossipTransport:
    """A member while ``run`` runs, on ``loop``, where all other methods must be called, too.

    Constructing it binds the port and may raise OSError; ``run`` must follow, and closes the port.
    ``report`` receives the member's events.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: MemberConfig,
        report: Callable[[ClusterEvent | Traffic], None],
    ) -> None:
        self._loop = loop
        self._config = config
        self._report = report
        me, settings, envelope = config.me, config.settings, config.envelope
        self.machine = Memberlist(me, settings, envelope, config.rng, loop.time())
        if config.expected is not None:
            self.machine.expect(config.expected)
        self._timer: asyncio.TimerHandle | None = None
        self._stream_slots = asyncio.Semaphore(STREAMS)
        self._tasks: set[asyncio.Task[None]] = set()
        limits = Limits.within(settings.tcp_timeout)
        listening = Listening(self.machine, envelope, limits, self._on_message)
        self._datagrams = Datagrams(me.endpoint)
        try:
            self._inbound = InboundStreams(loop, me.endpoint, listening)
        except OSError:
            self._datagrams.close()
            raise

    async def run(self) -> None:
        """Take part until cancelled. Then close the port, without leaving the cluster."""
        self._loop.add_reader(self._datagrams.fileno(), self._receive)
        try:
            self._schedule()
            await self._report_traffic()
        finally:
            self._loop.remove_reader(self._datagrams.fileno())
            await self._close()

    async def _report_traffic(self) -> None:
        machine = self.machine
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            received, sent, dropped = machine.counters.take()
            members = Counter(member.state for member in machine.members)
            self._report(Traffic(received, sent, dropped, members, machine.health))

    async def _close(self) -> None:
        self._datagrams.close()
        await self._inbound.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def expect(self, speakers: Speakers) -> None:
        """Set the expected members and their addresses."""
        self.machine.expect(speakers)

    def join(self, endpoints: Iterable[Endpoint]) -> None:
        """Join at endpoints. Joined or JoinFailed follows for each."""
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
        here = (str(self._config.me.endpoint.address), 0)
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
        parser = StreamReader(self._config.envelope, STREAM_LIMIT, reply=True)
        while data := await reader.read(_CHUNK):
            message = parser.feed(data)
            if message is not None:
                return message
        raise ConnectionAbortedError("connection closed without an answer")


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
