"""All BGP sessions of a node: who to hold one with, and what every peer is to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metallb_py.addresses import IPNetwork
from metallb_py.config.routes import Route
from metallb_py.protocols.bgp.adj_rib_out import RouteAttributes
from speaker.bgp.events import BgpEvent, Parted, PeerAdded, PeerRemoved
from speaker.bgp.peering import Peering, PeerSession, changes
from speaker.drivers.bgp_listener import BgpListener
from speaker.drivers.bgp_session import BgpSession
from speaker.parting import Parting

COALESCING = 0.005
"""Seconds to wait for more changes after a first one: a burst of them leaves as its outcome."""


@dataclass(frozen=True, slots=True)
class _Running:
    session: BgpSession
    task: asyncio.Task[None]


class BgpSpeaker:
    """Holds a session with each wanted peer, and tells all of them the same routes.

    ``set_peers`` and ``change_routes`` may be called at any time, from the loop, before ``run``
    too.
    """

    def __init__(
        self,
        node_name: str,
        on_event: Callable[[BgpEvent], None],
        listener: BgpListener | None = None,
    ) -> None:
        self._node_name = node_name
        self._on_event = on_event
        self._peering = Peering()
        self._routes: dict[IPNetwork, RouteAttributes] = {}
        self._changed: dict[IPNetwork, None] = {}  # since the sessions were told
        self._running: dict[PeerSession, _Running] = {}
        self._ending: set[tuple[str, asyncio.Task[None]]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._complete = False
        self._listener = listener

    def set_peers(self, peering: Peering) -> None:
        """Hold these sessions. Those that are held already go on undisturbed."""
        self._peering = peering
        self._wake.set()

    def change_routes(self, changed: Mapping[IPNetwork, Route | None]) -> None:
        """Advertise these routes to every peer, and those that are None no longer."""
        for prefix, route in changed.items():
            if route is None:
                self._routes.pop(prefix, None)
            else:
                self._routes[prefix] = RouteAttributes(route.local_pref, route.communities)
            self._changed[prefix] = None
        self._wake.set()

    def bfd_down(self, peer: PeerSession, why: str) -> None:
        """Close a session whose peer BFD lost, in these words. It is tried again."""
        if running := self._running.get(peer):
            running.session.bfd_down(why)

    def complete(self) -> None:
        """The routes so far are all that there are: tell each peer so once it knows them."""
        self._complete = True
        self._wake.set()

    def part(self, parting: Parting) -> bool:
        """Begin to leave every peer; return whether one has to find other ways.

        The sessions end with ``run``, as now begun.
        """
        drains = False
        for peer, running in self._running.items():
            parted = running.session.part(parting)
            if parted is not None:
                self._on_event(Parted(peer, parted.routes_stay, parting.why))
                drains = drains or not parted.routes_stay
        return drains

    def stop(self) -> None:
        """Make ``run`` end in good order."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Own the sessions until stopped or cancelled; then part from every peer."""
        async with asyncio.TaskGroup() as group:
            listening = self._listener.run() if self._listener is not None else asyncio.sleep(0)
            listener = group.create_task(listening, name="bgp listener")
            while not self._stopping:
                await self._wake.wait()
                await asyncio.sleep(COALESCING)
                self._wake.clear()
                self._apply_routes()
                self._apply_peers(group)
            listener.cancel()
            for running in self._running.values():
                running.task.cancel()

    def _apply_peers(self, group: asyncio.TaskGroup) -> None:
        change = changes(self._running, self._peering)
        for peer, reason in change.removed:
            running = self._running.pop(peer)
            running.session.deconfigure()
            running.task.cancel()
            self._ending.add((str(peer), running.task))
            self._on_event(PeerRemoved(peer, reason))
        self._ending = {(name, task) for name, task in self._ending if not task.done()}
        for peer in change.added:
            self._on_event(PeerAdded(peer))
            session = BgpSession(peer, self._node_name, self._on_event)
            session.change_routes(self._routes)
            if self._complete:
                session.complete()
            before = [task for name, task in self._ending if name == str(peer)]
            task = group.create_task(_hold(session, before), name=f"bgp {peer}")
            self._running[peer] = _Running(session, task)
        if self._listener is not None:
            self._listener.expect({p: r.session.accept for p, r in self._running.items()})

    def _apply_routes(self) -> None:
        changed, self._changed = self._changed, {}
        wanted = {prefix: self._routes[prefix] for prefix in changed if prefix in self._routes}
        gone = changed.keys() - wanted.keys()
        for running in self._running.values() if changed else ():
            running.session.change_routes(wanted, gone)
        if self._complete:
            for running in self._running.values():
                running.session.complete()


async def _hold(session: BgpSession, before: list[asyncio.Task[None]]) -> None:
    """Hold a session once those with the same router have ended: it would refuse a second."""
    if before:
        await asyncio.wait(before)
    await session.run()
