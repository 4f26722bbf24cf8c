"""The thread of the gossip member, and the speaker's handle on it.

Answers to other members' probes must not wait while the speaker processes ten thousand services: a
busy speaker is not dead. The two event loops share no state; they schedule calls on each other.

Events are delivered in batches, one at a time: the first at once, the next only after the speaker
has handled the one before and a pause: ``PAUSE``, or ``SHARE`` times the time that handling took,
up to ``LONGEST_PAUSE``. So a thousand members that join at once are one change, and members that
change continuously use a bounded part of the speaker's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from metallb_py.backoff import Backoff
from metallb_py.protocols.memberlist.coalescer import Coalescer
from metallb_py.protocols.memberlist.codec.envelope import Drop
from metallb_py.protocols.memberlist.codec.messages import Endpoint, Kind, State
from metallb_py.protocols.memberlist.events import ClusterEvent
from metallb_py.protocols.memberlist.members import Speakers
from speaker.membership.io.gossip_transport import GossipNode, MemberConfig

REPORT_INTERVAL: Final = 1.0
"""Seconds between reports of traffic."""
PAUSE: Final = 0.05
"""Least seconds from a batch of events to the next."""
SHARE: Final = 3
"""The pause after a batch, in times of the seconds that the speaker's loop spent on it."""
LONGEST_PAUSE: Final = 1.0
"""Most seconds from a batch of events to the next."""
_BIND: Final = Backoff(first=0.2, limit=5.0)
"""Delays between attempts to bind the port."""


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


@dataclass(frozen=True, slots=True)
class Started:
    """The member has bound its port and takes part."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The port can't be bound. It is tried again; reported once for each reason."""

    error: str


GossipEvent = ClusterEvent | Traffic | Started | NotStarted


class Gossip:
    """A member of the cluster while ``run`` runs. Call all methods on the loop that runs it."""

    def __init__(self, on_events: Callable[[tuple[GossipEvent, ...]], None]) -> None:
        self._on_events = on_events
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._thread_side: _ThreadSide | None = None
        self._speakers: Speakers | None = None

    async def run(self, membership: MemberConfig) -> None:
        """Run a member in a thread until cancelled."""
        main, own = asyncio.get_running_loop(), asyncio.new_event_loop()

        def deliver(events: tuple[GossipEvent, ...]) -> None:
            main.call_soon_threadsafe(self._deliver, events)

        self._thread_side, self._thread_loop = _ThreadSide(membership, self._speakers, deliver), own
        work = own.create_task(self._thread_side.run(), name="gossip")
        thread = main.run_in_executor(None, _run, own, work)
        try:
            await asyncio.shield(thread)
        finally:
            own.call_soon_threadsafe(work.cancel)
            await asyncio.wait({thread})
            self._thread_side = None
            own.close()
        thread.result()

    def expect(self, speakers: Speakers) -> None:
        """Set the expected members and their addresses."""
        self._speakers = speakers
        if self._thread_loop is not None and self._thread_side is not None:
            self._thread_loop.call_soon_threadsafe(self._thread_side.expect, speakers)

    def join(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Join at endpoints. Joined or JoinFailed follows for each."""
        self._call(lambda node: node.join(endpoints))

    def update(self, meta: bytes) -> None:
        """Announce new metadata of the member."""
        if self._thread_loop is not None and self._thread_side is not None:
            self._thread_loop.call_soon_threadsafe(self._thread_side.update, meta)

    def leave(self) -> None:
        """Leave the cluster. Keep ``run`` running briefly, so that gossip spreads the departure."""
        self._call(lambda node: node.leave())

    def _deliver(self, events: tuple[GossipEvent, ...]) -> None:
        began = time.monotonic()
        self._on_events(events)
        if self._thread_loop is not None and self._thread_side is not None:
            cost = time.monotonic() - began
            self._thread_loop.call_soon_threadsafe(self._thread_side.outbox.delivered, cost)

    def _call(self, work: Callable[[GossipNode], None]) -> None:
        if self._thread_loop is not None and self._thread_side is not None:
            self._thread_loop.call_soon_threadsafe(self._thread_side.call, work)


def _run(loop: asyncio.AbstractEventLoop, work: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(work)


class _Outbox:
    """Queue of events to the speaker's loop. ``deliver`` must be safe to call from the thread."""

    def __init__(self, deliver: Callable[[tuple[GossipEvent, ...]], None]) -> None:
        self._deliver = deliver
        self._coalescer = Coalescer()
        self._reports: list[Traffic | Started | NotStarted] = []
        self._pending = False  # a batch is being handled, or scheduled
        self._next = 0.0

    def add(self, event: GossipEvent) -> None:
        """Queue an event for the next batch."""
        if isinstance(event, Traffic | Started | NotStarted):
            self._reports.append(event)
        else:
            self._coalescer.add(event)
        if not self._pending:
            self._schedule()

    def delivered(self, cost: float) -> None:
        """Record that the pending batch was handled, in ``cost`` seconds."""
        pause = min(max(PAUSE, SHARE * cost), LONGEST_PAUSE)
        self._next = asyncio.get_running_loop().time() + pause
        self._pending = False
        if self._reports or self._coalescer:
            self._schedule()

    def _schedule(self) -> None:
        self._pending = True
        asyncio.get_running_loop().call_at(self._next, self._send)

    def _send(self) -> None:
        reports, self._reports = self._reports, []
        self._deliver((*reports, *self._coalescer.take()))


class _ThreadSide:
    """The member and its outbox, inside the thread. ``deliver`` must be safe to call from there."""

    def __init__(
        self,
        membership: MemberConfig,
        speakers: Speakers | None,
        deliver: Callable[[tuple[GossipEvent, ...]], None],
    ) -> None:
        self._membership = membership
        self._speakers = speakers
        self.outbox = _Outbox(deliver)
        self._node: GossipNode | None = None

    def call(self, work: Callable[[GossipNode], None]) -> None:
        """Call ``work`` with the member. No-op before the port is bound."""
        if self._node is not None:
            work(self._node)

    def update(self, meta: bytes) -> None:
        """Announce metadata; at once, or from the start if the member does not run yet."""
        me = replace(self._membership.me, meta=meta)
        self._membership = replace(self._membership, me=me)
        self.call(lambda node: node.update(meta))

    def expect(self, speakers: Speakers) -> None:
        """Set the expected members."""
        self._speakers = speakers
        self.call(lambda node: node.expect(speakers))

    async def run(self) -> None:
        """Run the member, and report its traffic."""
        node = await self._open()
        if self._speakers is not None:
            node.expect(self._speakers)
        self.outbox.add(Started())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(node.run(), name="gossip-node")
                group.create_task(self._report(node), name="gossip-report")
        finally:
            await node.close()

    async def _open(self) -> GossipNode:
        """Bind the port. Retry while it is in use, perhaps by a predecessor that is terminating."""
        attempt, reported = 0, ""
        while self._node is None:
            try:
                self._node = GossipNode.open(self._membership, self.outbox.add)
            except OSError as error:
                reason = error.strerror or str(error)
                if reason != reported:
                    self.outbox.add(NotStarted(reason))
                reported = reason
                await asyncio.sleep(_BIND.delay(attempt))
                attempt += 1
        return self._node

    async def _report(self, node: GossipNode) -> None:
        machine = node.machine
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            received, sent, dropped = machine.counters.take()
            members = Counter(member.state for member in machine.members)
            self.outbox.add(Traffic(received, sent, dropped, members, machine.health))
