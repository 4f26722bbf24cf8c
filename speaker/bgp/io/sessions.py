"""All BGP sessions of a node: starts and ends them, and passes the routes on to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import chain

from metallb_py.addresses import IPNetwork
from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.model.routes import UNNAMED, PeerGroup
from speaker.bgp.events import BgpEvent, PeerAdded, PeerRemoved, ShutdownBegun
from speaker.bgp.io.listener import BgpListener
from speaker.bgp.io.session_driver import BgpSession
from speaker.bgp.peering import Peering, changes
from speaker.bgp.shutdown import ShutdownMode

COALESCING = 0.005
"""Seconds to wait for more changes after a first one: of a burst only the result is sent."""


@dataclass(slots=True)
class _Running:
    """A session, the task that runs it, and the group of peers whose routes it has."""

    session: BgpSession
    task: asyncio.Task[None]
    group: PeerGroup


class BgpSpeaker:
    """Holds a session with each wanted peer, and advertises to each the routes of its group.

    ``set_peers`` and ``change_routes`` may be called at any time from the loop, also before
    ``run``.
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
        self._routes: dict[PeerGroup, dict[IPNetwork, RouteAttributes]] = {UNNAMED: {}}
        # Prefixes that changed since the sessions were updated.
        self._changed: dict[PeerGroup, dict[IPNetwork, None]] = {}
        self._running: dict[SessionParameters, _Running] = {}
        # The tasks of sessions that end, by the label of their peers.
        self._ending: dict[str, list[asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self._complete = False
        self._completed = False  # whether the sessions were notified of that
        self._found = False
        self._listener = listener

    def set_peers(self, peering: Peering) -> None:
        """Hold exactly these sessions. Those that run already are not disturbed."""
        self._peering = peering
        self._wake.set()

    def change_routes(
        self, changed: Mapping[IPNetwork, RouteAttributes | None], group: PeerGroup = UNNAMED
    ) -> None:
        """Advertise these routes to a group of peers; withdraw prefixes that have None."""
        routes = self._routes.setdefault(group, {})
        pending = self._changed.setdefault(group, {})
        for prefix, attributes in changed.items():
            if attributes is None:
                routes.pop(prefix, None)
            else:
                routes[prefix] = attributes
            pending[prefix] = None
        self._wake.set()

    def bfd_down(self, peer: SessionParameters, why: str) -> None:
        """Close a session whose peer BFD reports as down, for the reason ``why``. It is retried."""
        if running := self._running.get(peer):
            running.session.bfd_down(why)

    def initial_sync_done(self) -> None:
        """Send each peer End-of-RIB after the routes so far, which are the initial set."""
        self._complete = True
        self._wake.set()

    def begin_shutdown(self, mode: ShutdownMode) -> bool:
        """Begin to shut down every session; return whether one of them is drained.

        The sessions end with ``run``, in the mode that is given here.
        """
        drains = False
        for peer, running in self._running.items():
            graceful_restart = running.session.begin_shutdown(mode)
            if graceful_restart is not None:
                self._on_event(ShutdownBegun(peer, graceful_restart, mode.why))
                drains = drains or not graceful_restart
        return drains

    def stop(self) -> None:
        """Make ``run`` end the sessions and return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Run the sessions until stopped or cancelled; then end each of them."""
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
        """Update the listener's peers: an unnumbered peer was discovered, or at another address."""
        self._found = True
        self._wake.set()

    def _apply_peers(self, tasks: asyncio.TaskGroup) -> None:
        change = changes(self._running, self._peering)
        for peer, reason in change.removed:
            running = self._running.pop(peer)
            running.session.deconfigure()
            running.task.cancel()
            self._ending.setdefault(str(peer), []).append(running.task)
            self._on_event(PeerRemoved(peer, reason))
        self._ending = {
            name: left
            for name, every in self._ending.items()
            if (left := [task for task in every if not task.done()])
        }
        for peer in change.added:
            self._on_event(PeerAdded(peer))
            session = BgpSession(peer, self._node_name, self._on_event, self._on_found)
            group = self._peering.peer_groups.get(peer, UNNAMED)
            session.change_routes(self._routes.get(group, {}), complete=self._complete)
            before = self._ending.get(str(peer), [])
            task = tasks.create_task(_hold(session, before), name=f"bgp {peer}")
            self._running[peer] = _Running(session, task, group)
        if self._listener is not None and (change.removed or change.added or self._found):
            self._found = False
            sessions = [running.session for running in self._running.values()]
            self._listener.expect({each.resolved_peer: each.accept for each in sessions})

    def _apply_routes(self) -> None:
        changed, self._changed = self._changed, {}
        newly_complete = self._complete and not self._completed
        updates = {group: self._update_of(group, prefixes) for group, prefixes in changed.items()}
        for peer, running in self._running.items():
            before, group = running.group, self._peering.peer_groups.get(peer, running.group)
            if group != before and group in self._routes:
                running.group = group
                earlier = (changed.get(before, {}), self._routes.get(before, {}))
                prefixes = dict.fromkeys(chain(*earlier, self._routes[group]))
                update = self._update_of(group, prefixes)
            elif changed.get(before):
                update = updates[before]
            elif newly_complete:
                update = {}, frozenset()
            else:
                continue
            running.session.change_routes(*update, complete=self._complete)
        self._completed = self._complete
        self._remove_unused_groups()

    def _update_of(
        self, group: PeerGroup, prefixes: Iterable[IPNetwork]
    ) -> tuple[Mapping[IPNetwork, RouteAttributes], Set[IPNetwork]]:
        """Return a group's routes to these prefixes, and the prefixes that it has none to."""
        routes = self._routes[group]
        wanted = {prefix: routes[prefix] for prefix in prefixes if prefix in routes}
        return wanted, frozenset(prefixes) - wanted.keys()

    def _remove_unused_groups(self) -> None:
        """Remove groups that no session belongs to, once all their routes are withdrawn."""
        used = {UNNAMED, *self._peering.peer_groups.values()}
        used.update(running.group for running in self._running.values())
        for group in [each for each, routes in self._routes.items() if not routes]:
            if group not in used:
                del self._routes[group]


async def _hold(session: BgpSession, before: list[asyncio.Task[None]]) -> None:
    """Run a session once those with the same router have ended: it would reject a second one."""
    if before:
        await asyncio.wait(before)
    await session.run()
