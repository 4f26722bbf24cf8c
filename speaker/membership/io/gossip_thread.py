"""The thread of the gossip member: the speaker's handle on it, and the way of events back.

Answers to other members' probes must not wait while the speaker processes ten thousand services: a
busy speaker is not dead. The two event loops share no state; they schedule calls on each other.

Events are delivered in batches, one at a time: the first at once, the next only after the speaker
has handled the one before and a pause: ``PAUSE``, or ``SHARE`` times the time that handling took,
up to ``LONGEST_PAUSE``. So a thousand members that join at once are one change, and members that
change continuously use a bounded part of the speaker's loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from metallb_py.backoff import Backoff
from metallb_py.protocols.memberlist.coalescer import Coalescer
from metallb_py.protocols.memberlist.codec.messages import Endpoint
from metallb_py.protocols.memberlist.events import ClusterEvent
from metallb_py.protocols.memberlist.members import Speakers
from metallb_py.runtime.loop_thread import LoopThread
from speaker.membership.io.gossip_transport import GossipTransport, MemberConfig, Traffic

PAUSE: Final = 0.05
"""Least seconds from a batch of events to the next."""
SHARE: Final = 3
"""The pause after a batch, in times of the seconds that the speaker's loop spent on it."""
LONGEST_PAUSE: Final = 1.0
"""Most seconds from a batch of events to the next."""
_BIND: Final = Backoff(first=0.2, limit=5.0)
"""Delays between attempts to bind the port."""


@dataclass(frozen=True, slots=True)
class Started:
    """The member has bound its port and takes part."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The port can't be bound. It is tried again; reported once for each reason."""

    error: str


GossipEvent = ClusterEvent | Traffic | Started | NotStarted


class GossipThread:
    """A member of the cluster while ``run`` runs, in a thread of its own.

    All methods belong to the loop that runs it. Except for ``run`` they are no-ops until Started.
    """

    def __init__(self, on_events: Callable[[tuple[GossipEvent, ...]], None]) -> None:
        self._on_events = on_events
        self._member: tuple[LoopThread, GossipTransport] | None = None

    async def run(self, config: Callable[[], MemberConfig]) -> None:
        """Run a member until cancelled; ``config`` is called when it is about to start.

        An exception of ``on_events`` is passed on: its later calls would miss a change.
        """
        main, thread = asyncio.get_running_loop(), LoopThread()
        batches: asyncio.Queue[tuple[GossipEvent, ...]] = asyncio.Queue()  # one, at most
        outbox = _Outbox(lambda events: main.call_soon_threadsafe(batches.put_nowait, events))
        try:
            transport = await self._bind(thread.loop, config, outbox)
            ended = thread.start(transport.run(), name="gossip")
            self._member = (thread, transport)
            self._on_events((Started(),))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._deliver(batches, thread, outbox), name="gossip-events")
                await asyncio.shield(ended)
        finally:
            self._member = None
            thread.cancel()
            await thread.join()

    def expect(self, speakers: Speakers) -> None:
        """Set the expected members and their addresses."""
        self._call(lambda member: member.expect(speakers))

    def join(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Join at endpoints. Joined or JoinFailed follows for each."""
        self._call(lambda member: member.join(endpoints))

    def update(self, meta: bytes) -> None:
        """Announce new metadata of the member."""
        self._call(lambda member: member.update(meta))

    def leave(self) -> None:
        """Leave the cluster. Keep ``run`` running briefly, so that gossip spreads the departure."""
        self._call(lambda member: member.leave())

    def _call(self, work: Callable[[GossipTransport], None]) -> None:
        if self._member is not None:
            thread, transport = self._member
            thread.call_soon(work, transport)

    async def _deliver(
        self,
        batches: asyncio.Queue[tuple[GossipEvent, ...]],
        thread: LoopThread,
        outbox: _Outbox,
    ) -> None:
        while True:
            events = await batches.get()
            began = time.monotonic()
            self._on_events(events)
            thread.call_soon(outbox.delivered, time.monotonic() - began)

    async def _bind(
        self, loop: asyncio.AbstractEventLoop, config: Callable[[], MemberConfig], outbox: _Outbox
    ) -> GossipTransport:
        """Bind the port. Retry while it is in use, perhaps by a predecessor that is terminating."""
        attempt, reported = 0, ""
        while True:
            try:
                return GossipTransport(loop, config(), outbox.add)
            except OSError as error:
                reason = error.strerror or str(error)
                if reason != reported:
                    self._on_events((NotStarted(reason),))
                reported = reason
            await asyncio.sleep(_BIND.delay(attempt))
            attempt += 1


class _Outbox:
    """Queue of events to the speaker's loop. ``deliver`` must be safe to call from the thread."""

    def __init__(self, deliver: Callable[[tuple[GossipEvent, ...]], object]) -> None:
        self._deliver = deliver
        self._coalescer = Coalescer()
        self._traffic: list[Traffic] = []
        self._pending = False  # a batch is being handled, or scheduled
        self._next = 0.0

    def add(self, event: ClusterEvent | Traffic) -> None:
        """Queue an event for the next batch."""
        if isinstance(event, Traffic):
            self._traffic.append(event)
        else:
            self._coalescer.add(event)
        if not self._pending:
            self._schedule()

    def delivered(self, cost: float) -> None:
        """Record that the pending batch was handled, in ``cost`` seconds."""
        pause = min(max(PAUSE, SHARE * cost), LONGEST_PAUSE)
        self._next = asyncio.get_running_loop().time() + pause
        self._pending = False
        if self._traffic or self._coalescer:
            self._schedule()

    def _schedule(self) -> None:
        self._pending = True
        asyncio.get_running_loop().call_at(self._next, self._send)

    def _send(self) -> None:
        traffic, self._traffic = self._traffic, []
        self._deliver((*traffic, *self._coalescer.take()))
