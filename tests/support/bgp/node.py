"""The speaker's BGP under test, in this process, and the events that it reports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address, ip_network
from typing import TypeVar

from support.net.waiting import TIMEOUT, Recorder

from metallb_py.addresses import IPNetwork
from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.protocols.bgp.effects import ConnectFailed, Report
from speaker.bgp.events import (
    BgpEvent,
    PeerAdded,
    PeerEvent,
    PeerRemoved,
    ShutdownBegun,
)
from speaker.bgp.io.listener import BgpListener, ListenerEvent
from speaker.bgp.io.sessions import BgpSpeaker
from speaker.bgp.peering import ListenAt, Peering

E = TypeVar("E", bound=PeerAdded | PeerRemoved | ShutdownBegun | Report)
Route = tuple[IPNetwork, RouteAttributes]


class Node(Recorder[BgpEvent]):
    """Drives a BgpSpeaker; a test can await its events."""

    def __init__(self, listen: ListenAt | None = None) -> None:
        super().__init__()
        self.refused: list[ListenerEvent] = []
        listener = BgpListener(listen, self.refused.append) if listen else None
        self.speaker = BgpSpeaker("node1", self.record, listener)
        self._advertised: set[IPNetwork] = set()

    def peer_with(self, *sessions: SessionParameters) -> None:
        """Configure these sessions and no others."""
        self.speaker.set_peers(Peering(sessions))

    def advertise(self, *routes: Route) -> None:
        """Advertise these routes and no others."""
        wanted = dict(routes)
        gone = dict.fromkeys(self._advertised - wanted.keys())
        self._advertised = set(wanted)
        self.speaker.change_routes({**gone, **wanted})

    async def next_event(
        self, kind: type[E], that: Callable[[E], bool] = lambda _: True, within: float = TIMEOUT
    ) -> E:
        """Wait for the first event of a kind that no call has returned yet.

        Of a session's event it is the effect.
        """

        def matches(event: BgpEvent) -> bool:
            effect = effect_of(event)
            return isinstance(effect, kind) and that(effect)

        return effect_of(await super().next_event(object, matches, within))

    async def next_peer_event(self, kind: type[Report], within: float = TIMEOUT) -> PeerEvent:
        """Wait for the next event of a session with an effect of this kind, as ``next_event``."""
        return await super().next_event(
            PeerEvent, lambda each: isinstance(each.effect, kind), within
        )

    def pending(self, kind: type[E]) -> list[E]:
        """Return the events of a kind that no call has returned yet."""
        return [found for found in map(effect_of, self.events) if isinstance(found, kind)]

    async def failed(self, error: str, within: float = TIMEOUT) -> None:
        """Wait for a connection attempt to fail with this error.

        Other errors are skipped: a router that still starts refuses connections.
        """
        async with asyncio.timeout(within):
            while (await self.next_event(ConnectFailed)).error != error:
                pass


def effect_of(event: BgpEvent) -> PeerAdded | PeerRemoved | ShutdownBegun | Report:
    """Return the effect that a session reported; any other event is its own."""
    return event.effect if isinstance(event, PeerEvent) else event


@contextlib.asynccontextmanager
async def running_node(listen: ListenAt | None = None) -> AsyncIterator[Node]:
    """Run a node for the length of a block."""
    node = Node(listen)
    task = asyncio.create_task(node.speaker.run())
    try:
        yield node
    finally:
        node.speaker.stop()
        await task


def route(
    prefix: str, local_pref: int = 0, communities: tuple[int, ...] = (), **more: object
) -> Route:
    """Return a route; ``more`` are other attributes."""
    values = frozenset(map(Community, communities))
    return ip_network(prefix), RouteAttributes(local_pref, values, **more)


def peer(address: str, local_asn: int, peer_asn: int, **more: object) -> SessionParameters:
    """Return the settings of a session with a peer."""
    return SessionParameters(local_asn, peer_asn, ip_address(address), **more)
