"""All BGP sessions of a node: who to hold one with, and what every peer is to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import chain

from metallb_py.addresses import IPNetwork
from metallb_py.model.routes import UNNAMED, Audience, Route
from metallb_py.protocols.bgp.rib.adj_rib_out import RouteAttributes
from speaker.bgp.events import BgpEvent, Parted, PeerAdded, PeerRemoved
from speaker.bgp.io.listener import BgpListener
from speaker.bgp.io.session_driver import BgpSession
from speaker.bgp.peering import Peering, PeerSession, changes
from speaker.bgp.shutdown import Parting

COALESCING = 0.005
"""Seconds to wait for more changes after a first one: a burst of them leaves as its outcome."""


@dataclass(slots=True)
class _Running:
    session: BgpSession
    task: asyncio.Task[None]
    audience: Audience


class BgpSpeaker:
    """Holds a session with each wanted peer, and tells each audience among them its routes.

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
        self._routes: dict[Audience, dict[IPNetwork, RouteAttributes]] = {UNNAMED: {}}
        # Since the sessions were told.
        self._changed: dict[Audience, dict[IPNetwork, None]] = {}
        self._running: dict[PeerSession, _Running] = {}
        self._ending: set[tuple[str, asyncio.Task[None]]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._complete = False
        self._completed = False  # and the sessions were told
        self._found = False
        self._listener = listener

    def set_peers(self, peering: Peering) -> None:
        """Hold these sessions. Those that are held already go on undisturbed."""
        self._peering = peering
        self._wake.set()

    def change_routes(
        self, changed: Mapping[IPNetwork, Route | None], audience: Audience = UNNAMED
    ) -> None:
        """Advertise these routes to an audience, and those that are None no longer."""
        routes = self._routes.setdefault(audience, {})
        pending = self._changed.setdefault(audience, {})
        for prefix, route in changed.items():
            if route is None:
                routes.pop(prefix, None)
            else:
                routes[prefix] = attributes_of(route)
            pending[prefix] = None
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
            routes_stay = running.session.part(parting)
            if routes_stay is not None:
                self._on_event(Parted(peer, routes_stay, parting.why))
                drains = drains or not routes_stay
        return drains

    def stop(self) -> None:
        """Make ``run`` end in good order."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Own the sessions until stopped or cancelled; then part from every peer."""
        async with asyncio.TaskGroup() as group:
            tasks = []
            if self._listener is not None:
                tasks.append(group.create_task(self._listener.run(), name="bgp listener"))
            while not self._stopping:
                await self._wake.wait()
                await asyncio.sleep(COALESCING)
                self._wake.clear()
                self._apply_routes()
                self._apply_peers(group)
            tasks += [running.task for running in self._running.values()]
            for task in tasks:
                task.cancel()

    def _on_found(self) -> None:
        """A peer that is known by its link alone has an address now, or another one."""
        self._found = True
        self._wake.set()

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
            session = BgpSession(peer, self._node_name, self._on_event, self._on_found)
            audience = self._peering.audiences.get(peer, UNNAMED)
            session.change_routes(self._routes.get(audience, {}))
            if self._complete:
                session.complete()
            before = [task for name, task in self._ending if name == str(peer)]
            task = group.create_task(_hold(session, before), name=f"bgp {peer}")
            self._running[peer] = _Running(session, task, audience)
        if self._listener is not None and (change.removed or change.added or self._found):
            self._found = False
            sessions = [running.session for running in self._running.values()]
            self._listener.expect({each.known_as: each.accept for each in sessions})

    def _apply_routes(self) -> None:
        changed, self._changed = self._changed, {}
        news = {audience: self._news(audience, prefixes) for audience, prefixes in changed.items()}
        for peer, running in self._running.items():
            before, audience = running.audience, self._peering.audiences.get(peer, running.audience)
            if audience != before and audience in self._routes:
                running.audience = audience
                told = (changed.get(before, {}), self._routes.get(before, {}))
                concerned = dict.fromkeys(chain(*told, self._routes[audience]))
                running.session.change_routes(*self._news(audience, concerned))
            elif changed.get(before):
                running.session.change_routes(*news[before])
            if self._complete and not self._completed:
                running.session.complete()
        self._completed = self._complete
        self._forget_audiences()

    def _news(
        self, audience: Audience, prefixes: Iterable[IPNetwork]
    ) -> tuple[Mapping[IPNetwork, RouteAttributes], Set[IPNetwork]]:
        """Return what an audience is to hear of these prefixes: routes, and what has none."""
        routes = self._routes[audience]
        wanted = {prefix: routes[prefix] for prefix in prefixes if prefix in routes}
        return wanted, frozenset(prefixes) - wanted.keys()

    def _forget_audiences(self) -> None:
        """Forget those that nobody belongs to any more, once their routes were all taken back."""
        there = {UNNAMED, *self._peering.audiences.values()}
        there.update(running.audience for running in self._running.values())
        for audience in [each for each, routes in self._routes.items() if not routes]:
            if audience not in there:
                del self._routes[audience]


def attributes_of(route: Route) -> RouteAttributes:
    """Return what a route says of its prefix."""
    return RouteAttributes(
        route.local_pref,
        route.communities,
        route.large_communities,
        route.med,
        route.as_path_prepend,
        route.weight,
    )


async def _hold(session: BgpSession, before: list[asyncio.Task[None]]) -> None:
    """Hold a session once those with the same router have ended: it would refuse a second."""
    if before:
        await asyncio.wait(before)
    await session.run()
