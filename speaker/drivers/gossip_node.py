"""The sockets of a member of the speakers' gossip cluster, around the machine that decides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Final

from metallb_py.protocols.memberlist.chance import Chance
from metallb_py.protocols.memberlist.effects import (
    CloseStream,
    Effect,
    Member,
    News,
    OpenStream,
    Reply,
    SendPacket,
    StreamId,
)
from metallb_py.protocols.memberlist.envelope import (
    Drop,
    Envelope,
    EnvelopeError,
    StreamReader,
)
from metallb_py.protocols.memberlist.machine import Memberlist
from metallb_py.protocols.memberlist.messages import Endpoint, Message
from metallb_py.protocols.memberlist.settings import Settings
from speaker.drivers.datagrams import Datagrams

STREAMS: Final = 64
"""So many streams each way at once; more of others' are closed, more of ours wait."""
STREAM_LIMIT: Final = 2 << 20
"""Bytes of a message over a stream at the most: some 10,000 members, and under a second's work."""
_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class Membership:
    """What a member is made of."""

    me: Member
    settings: Settings
    envelope: Envelope
    chance: Chance


class GossipNode:
    """A member for as long as ``run`` runs. Everything happens on the loop that runs it."""

    @classmethod
    async def open(cls, membership: Membership, tell: Callable[[News], None]) -> GossipNode:
        """Have the port, by UDP and TCP. Raises OSError. ``run`` and ``close`` must follow."""
        datagrams = Datagrams(membership.me.endpoint)
        try:
            node = cls(membership, tell, datagrams)
            address, port = str(membership.me.endpoint.address), membership.me.endpoint.port
            node._server = await asyncio.start_server(node._accept, address, port)
        except OSError:
            datagrams.close()
            raise
        return node

    def __init__(
        self, membership: Membership, tell: Callable[[News], None], datagrams: Datagrams
    ) -> None:
        self._membership = membership
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._datagrams = datagrams
        self._server: asyncio.Server | None = None
        self.machine = Memberlist(
            membership.me,
            membership.settings,
            membership.envelope,
            membership.chance,
            self._loop.time(),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._ours = asyncio.Semaphore(STREAMS)
        self._theirs: dict[StreamId, asyncio.StreamWriter] = {}
        self._last_stream = 1
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take part until cancelled."""
        self._loop.add_reader(self._datagrams.fileno(), self._receive)
        try:
            self._wait()
            await self._loop.create_future()
        finally:
            self._loop.remove_reader(self._datagrams.fileno())

    async def close(self) -> None:
        """Let go of the port, and of whatever is under way, without a word."""
        self._datagrams.close()
        if self._server is not None:
            self._server.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def join(self, endpoints: Iterable[Endpoint]) -> None:
        """Exchange everything with who is there."""
        self._do(self.machine.join(endpoints, self._loop.time()))

    def update(self, meta: bytes) -> None:
        """Tell everybody this metadata."""
        self._do(self.machine.update(meta, self._loop.time()))

    def leave(self) -> None:
        """Take leave, and go on telling so until the end."""
        self._do(self.machine.leave(self._loop.time()))

    # Datagrams and time

    def _receive(self) -> None:
        for target in self._datagrams.refusals():
            self._do(self.machine.refused(target, self._loop.time()))
        for data, source in self._datagrams.receive():
            self._do(self.machine.receive(data, source, self._loop.time()))

    def _on_time(self) -> None:
        self._timer = None
        self._do(self.machine.handle_timeout(self._loop.time()))

    def _do(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case SendPacket(to, data):
                    self._datagrams.send(to, data)
                case OpenStream():
                    self._start(self._ask(effect))
                case Reply(stream, data):
                    writer = self._theirs.get(stream)
                    if writer is not None:
                        writer.write(data)
                case CloseStream(stream):
                    writer = self._theirs.pop(stream, None)
                    if writer is not None:
                        writer.transport.abort()
                case _:
                    self._tell(effect)
        self._wait()

    def _wait(self) -> None:
        due = self.machine.next_deadline()
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_time)

    # Streams

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work, name="gossip-stream")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, effect: OpenStream) -> None:
        """Carry out one exchange over a stream of ours."""
        refused = False
        try:
            async with asyncio.timeout_at(effect.deadline), self._ours:
                message = await self._exchange(effect)
        except EnvelopeError as error:
            self.machine.tally.dropped[error.reason] += 1
            said = str(error)
        except TimeoutError:
            said = "no answer in time"
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            said = error.strerror or str(error)
        else:
            self._do(self.machine.stream_received(effect.stream, message, self._loop.time()))
            return
        now = self._loop.time()
        self._do(self.machine.stream_failed(effect.stream, said, now, refused=refused))

    async def _exchange(self, effect: OpenStream) -> Message:
        address, port = str(effect.to.address), effect.to.port
        here = (str(self._membership.me.endpoint.address), 0)
        reader, writer = await asyncio.open_connection(address, port, local_addr=here)
        try:
            writer.write(effect.data)
            return await self._read(reader, reply=True)
        finally:
            await _abort(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer over a stream that another opened."""
        if len(self._theirs) >= STREAMS:
            self.machine.tally.dropped[Drop.OVERSIZED] += 1
            writer.transport.abort()
            return
        self._last_stream += 2
        stream = StreamId(self._last_stream)
        self._theirs[stream] = writer
        try:
            async with asyncio.timeout(self._membership.settings.tcp_timeout):
                message = await self._read(reader, reply=False)
                self._do(self.machine.stream_received(stream, message, self._loop.time()))
                if stream in self._theirs:
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        except EnvelopeError as error:
            self.machine.tally.dropped[error.reason] += 1
        except (OSError, TimeoutError):
            pass
        finally:
            self._theirs.pop(stream, None)
            await _abort(writer)

    async def _read(self, reader: asyncio.StreamReader, *, reply: bool) -> Message:
        """Read one message. Raises EnvelopeError, OSError."""
        parser = StreamReader(self._membership.envelope, STREAM_LIMIT, reply=reply)
        while data := await reader.read(_CHUNK):
            message = parser.feed(data)
            if message is not None:
                return message
        raise ConnectionAbortedError("it was closed without an answer")


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
