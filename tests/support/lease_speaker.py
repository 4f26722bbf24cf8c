"""A speaker's membership by its Lease, as a test follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from support.patience import PATIENCE

from metallb_py.kube.client import KubeClient
from speaker.membership.io.lease_driver import Holder, LeaseEvent, LeaseMembers, Listener
from speaker.membership.lease_detector import Timing


class LeaseSpeaker:
    """Who takes part, and notes what it hears."""

    def __init__(
        self, client: KubeClient, holder: Holder, chance: Callable[[], float], timing: Timing
    ) -> None:
        self.heard: list[frozenset[str]] = []
        self.events: list[LeaseEvent] = []
        self.synced = 0
        self._changed = asyncio.Event()
        listener = Listener(self._on_members, self._on_synced, self._on_event)
        self.members = LeaseMembers(client, holder, listener, chance, timing)
        self._task = asyncio.create_task(self.members.run())

    async def until(self, question: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not question():
                self._changed.clear()
                await self._changed.wait()

    async def until_members(self, *nodes: str) -> None:
        await self.until(lambda: self.heard and self.heard[-1] == frozenset(nodes))

    async def until_event(self, kind: type[LeaseEvent]) -> None:
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))

    async def crash(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _on_members(self, alive: frozenset[str]) -> None:
        self.heard.append(alive)
        self._changed.set()

    def _on_synced(self) -> None:
        assert self.heard, "the members are told before"
        self.synced += 1
        self._changed.set()

    def _on_event(self, event: LeaseEvent) -> None:
        self.events.append(event)
        self._changed.set()
