"""The speaker's handle on its member of the gossip cluster, which has a thread of its own.

Its answers to the others' probes must not wait until the speaker has read ten thousand services;
who is busy is not dead. All that is shared are calls, which go from one loop to the other.

Events come in batches, one at a time: the first at once, the next not before the speaker has dealt
with the one before, and then not for a while: ``PAUSE``, or ``SHARE`` times what that cost, up to
``LONGEST_PAUSE``. So a thousand members that appear at once are one change, and members that change
all the time take a bounded part of the speaker's loop.
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
from metallb_py.protocols.memberlist.events import News
from metallb_py.protocols.memberlist.members import Speakers
from speaker.membership.io.gossip_transport import GossipNode, Membership

REPORT_INTERVAL: Final = 1.0
PAUSE: Final = 0.05
"""Seconds from a batch of events to the next, at the least."""
SHARE: Final = 3
"""The pause after a batch, in times of what the batch cost the speaker's loop."""
LONGEST_PAUSE: Final = 1.0
_BIND: Final = Backoff(first=0.2, limit=5.0)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went by since the last report, and how things stand."""

    received: Counter[Kind]
    sent: Counter[Kind]
    dropped: Counter[Drop]
    members: Counter[State]
    health: int


@dataclass(frozen=True, slots=True)
class Started:
    """It takes part, and others can reach it."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The port can't be had. It is tried again; told when the reason changes."""

    error: str


GossipEvent = News | Traffic | Started | NotStarted


class Gossip:
    """A member for as long as ``run`` runs. All calls belong to the loop that runs it."""

    def __init__(self, on_events: Callable[[tuple[GossipEvent, ...]], None]) -> None:
        self._on_events = on_events
        self._own: asyncio.AbstractEventLoop | None = None
        self._half: _Half | None = None
        self._speakers: Speakers | None = None

    async def run(self, membership: Membership) -> None:
        """Take part until cancelled."""
        main, own = asyncio.get_running_loop(), asyncio.new_event_loop()

        def deliver(events: tuple[GossipEvent, ...]) -> None:
            main.call_soon_threadsafe(self._deliver, events)

        self._half, self._own = _Half(membership, self._speakers, deliver), own
        work = own.create_task(self._half.run(), name="gossip")
        thread = main.run_in_executor(None, _run, own, work)
        try:
            await asyncio.shield(thread)
        finally:
            own.call_soon_threadsafe(work.cancel)
            await asyncio.wait({thread})
            self._half = None
            own.close()
        thread.result()

    def expect(self, speakers: Speakers) -> None:
        """Take these for the members that there can be, at these addresses."""
        self._speakers = speakers
        if self._own is not None and self._half is not None:
            self._own.call_soon_threadsafe(self._half.expect, speakers)

    def join(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Exchange everything with who is there; Joined or JoinFailed follows for each."""
        self._call(lambda node: node.join(endpoints))

    def update(self, meta: bytes) -> None:
        """Tell everybody this metadata of the member."""
        if self._own is not None and self._half is not None:
            self._own.call_soon_threadsafe(self._half.update, meta)

    def leave(self) -> None:
        """Take leave. Go on running for a moment, so that everybody hears it."""
        self._call(lambda node: node.leave())

    def _deliver(self, events: tuple[GossipEvent, ...]) -> None:
        began = time.monotonic()
        self._on_events(events)
        if self._own is not None and self._half is not None:
            cost = time.monotonic() - began
            self._own.call_soon_threadsafe(self._half.outbox.delivered, cost)

    def _call(self, work: Callable[[GossipNode], None]) -> None:
        if self._own is not None and self._half is not None:
            self._own.call_soon_threadsafe(self._half.call, work)


def _run(loop: asyncio.AbstractEventLoop, work: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(work)


class _Outbox:
    """Events on their way out of the thread. ``deliver`` may be called from there."""

    def __init__(self, deliver: Callable[[tuple[GossipEvent, ...]], None]) -> None:
        self._deliver = deliver
        self._news = Coalescer()
        self._reports: list[Traffic | Started | NotStarted] = []
        self._under_way = False  # a batch, or the wait for the next
        self._next = 0.0

    def add(self, event: GossipEvent) -> None:
        """Have an event delivered, with what else happens until then."""
        if isinstance(event, Traffic | Started | NotStarted):
            self._reports.append(event)
        else:
            self._news.add(event)
        if not self._under_way:
            self._plan()

    def delivered(self, cost: float) -> None:
        """The batch that was under way was dealt with, in so many seconds."""
        pause = min(max(PAUSE, SHARE * cost), LONGEST_PAUSE)
        self._next = asyncio.get_running_loop().time() + pause
        self._under_way = False
        if self._reports or self._news:
            self._plan()

    def _plan(self) -> None:
        self._under_way = True
        asyncio.get_running_loop().call_at(self._next, self._send)

    def _send(self) -> None:
        reports, self._reports = self._reports, []
        self._deliver((*reports, *self._news.take()))


class _Half:
    """The half that lives in the thread. ``deliver`` may be called from there."""

    def __init__(
        self,
        membership: Membership,
        speakers: Speakers | None,
        deliver: Callable[[tuple[GossipEvent, ...]], None],
    ) -> None:
        self._membership = membership
        self._speakers = speakers
        self.outbox = _Outbox(deliver)
        self._node: GossipNode | None = None

    def call(self, work: Callable[[GossipNode], None]) -> None:
        """Have the member do this. Before it takes part there is none, and nothing to be done."""
        if self._node is not None:
            work(self._node)

    def update(self, meta: bytes) -> None:
        """Have others know this metadata, from the first where they know none yet."""
        me = replace(self._membership.me, meta=meta)
        self._membership = replace(self._membership, me=me)
        self.call(lambda node: node.update(meta))

    def expect(self, speakers: Speakers) -> None:
        """Take these for the members that there can be."""
        self._speakers = speakers
        self.call(lambda node: node.expect(speakers))

    async def run(self) -> None:
        """Take part and report."""
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
        """Where the port is taken, perhaps by a predecessor that is about to go, wait for it."""
        attempt, told = 0, ""
        while self._node is None:
            try:
                self._node = GossipNode.open(self._membership, self.outbox.add)
            except OSError as error:
                reason = error.strerror or str(error)
                if reason != told:
                    self.outbox.add(NotStarted(reason))
                told = reason
                await asyncio.sleep(_BIND.delay(attempt))
                attempt += 1
        return self._node

    async def _report(self, node: GossipNode) -> None:
        machine = node.machine
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            received, sent, dropped = machine.tally.take()
            members = Counter(member.state for member in machine.members)
            self.outbox.add(Traffic(received, sent, dropped, members, machine.health))
