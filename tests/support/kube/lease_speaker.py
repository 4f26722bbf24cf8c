"""A speaker's membership by its Lease, with a record of what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from support.net.waiting import Observable

from metallb_py.kube.client import KubeClient
from speaker.membership.interface import Usable
from speaker.membership.io.lease_driver import Holder, LeaseEvent, LeaseMembership
from speaker.membership.lease_detector import Timing


class LeaseSpeaker(Observable):
    """A member by its Lease; records the reported members and events."""

    def __init__(
        self, client: KubeClient, holder: Holder, rng: Callable[[], float], timing: Timing
    ) -> None:
        super().__init__()
        self.reported: list[frozenset[str]] = []
        self.events: list[LeaseEvent] = []
        self.membership = LeaseMembership(client, holder, self._on_event, rng, timing)
        self._task = asyncio.create_task(self.membership.run(self._on_usable))

    async def until_members(self, *nodes: str) -> None:
        await self.until(lambda: self.reported and self.reported[-1] == frozenset(nodes))

    async def until_event(self, kind: type[LeaseEvent]) -> None:
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))

    async def crash(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _on_usable(self, usable: Usable) -> None:
        self.reported.append(usable.nodes)
        self.notify()

    def _on_event(self, event: LeaseEvent) -> None:
        self.events.append(event)
        self.notify()
