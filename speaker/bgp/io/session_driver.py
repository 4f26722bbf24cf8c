"""Performs what a BGP session asks for: one task, and the connections with one peer.

All that happens is looked at in one place, ``_turn``; the transports' callbacks only note what
came and wake the task. A flush is bounded, and comes only when the transport has room, so the
send buffer never holds more than one flush above its limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, ip_address

from metallb_py.addresses import IPNetwork
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp import effects
from metallb_py.protocols.bgp.cease import SHUTDOWN, Farewell
from metallb_py.protocols.bgp.codec.codes import Cease
from metallb_py.protocols.bgp.connections import (
    CollisionEffect,
    Connections,
    Decline,
    OnRival,
    Promote,
)
from metallb_py.protocols.bgp.negotiation import describe
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts, RouteAttributes
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses
from speaker.bgp import events
from speaker.bgp.events import BgpEvent
from speaker.bgp.io.router_discovery import LinkRouter
from speaker.bgp.io.socket_options import destination, open_socket, prepare
from speaker.bgp.io.transport import RECEIVED_AT_ONCE, Wire, plain
from speaker.bgp.peering import PeerSession, router_id_for, settings_of
from speaker.bgp.shutdown import Parting
from speaker.linux.addresses import addresses_beside

FINDING = 5.0
"""Seconds of an attempt to wait for the router of a link to say where it is."""


class BgpSession:
    """One session with one peer, tried for as long as ``run`` runs."""

    def __init__(
        self,
        peer: PeerSession,
        node_name: str,
        on_event: Callable[[BgpEvent], None],
        on_found: Callable[[], None] = lambda: None,
    ) -> None:
        self._peer = peer
        self._on_found = on_found
        self._link = LinkRouter(peer.interface, self._found)
        self._node_name = node_name
        self._on_event = on_event
        settings = settings_of(peer, node_name, time.clock_gettime(time.CLOCK_BOOTTIME))
        self._connections = Connections(settings, passive=peer.passive, chance=random.random)
        self._session = self._connections.session
        self._farewell = SHUTDOWN
        self._wake = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._dialling: asyncio.Task[None] | None = None
        self._dialled: Wire | OSError | LocalProtocolError | None = None
        self._incoming: socket.socket | None = None
        self._wire: Wire | None = None
        self._rival: Wire | None = None
        self._leaving: set[Wire] = set()

    def change_routes(
        self, wanted: Mapping[IPNetwork, RouteAttributes], unwanted: Iterable[IPNetwork] = ()
    ) -> None:
        """Advertise these from now on, and those no longer."""
        self._perform(self._session.change_routes(wanted, unwanted))
        self._wake.set()

    @property
    def known_as(self) -> PeerSession:
        """The peer, with the address that it was found at where the configuration has none."""
        found = self._link.address
        return self._peer if found is None else replace(self._peer, address=found)

    def accept(self, sock: socket.socket) -> None:
        """Take a connection that the peer has opened; it may come to be closed."""
        if self._incoming is not None:  # a peer in such a hurry has lost the earlier one
            self._incoming.close()
        self._incoming = sock
        self._wake.set()

    def bfd_down(self, why: str) -> None:
        """BFD lost the peer, in these words: close at once what there is of a session."""
        self._perform(self._session.bfd_down(why, _now()))
        self._wake.set()

    def complete(self) -> None:
        """The routes so far are all that there are: tell the peer so once it knows them."""
        self._session.complete()
        self._wake.set()

    def deconfigure(self) -> None:
        """When ``run`` is cancelled, tell the peer that it is wanted no longer."""
        self._farewell = Farewell(Cease.PEER_DECONFIGURED)

    def part(self, parting: Parting) -> bool | None:
        """Prepare to end with ``run``; return whether the peer keeps the routes, None without one.

        A peer that is not to keep them hears at once that they are about to go (RFC 8326).
        """
        self._farewell = Farewell(text=parting.why, withdraws=True, routes_stay=parting.routes_stay)
        if not self._session.is_up:
            return None
        if parting.routes_stay and self._session.peer_keeps_routes:
            return True
        self._session.drain()
        self._wake.set()
        return False

    async def run(self) -> None:
        """Hold the session until cancelled; then tell the peer, within LINGER, and end."""
        async with self._group as group:
            if self._peer.address is None:
                group.create_task(self._link.run(), name=f"router on {self._peer.interface}")
            await self._hold()

    async def _hold(self) -> None:
        try:
            self._perform(self._session.start(_now()))
            while True:
                await self._turn()
        finally:
            self._perform(self._connections.stop(_now(), self._farewell))
            if self._incoming is not None:
                self._incoming.close()
            for wire in self._leaving:
                await wire.closed.wait()

    async def _turn(self) -> None:
        """Wait until something happens, and deal with all that did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._connections.next_deadline()):
                await self._wake.wait()
        self._wake.clear()
        self._take_dialled()
        await self._take_incoming()
        self._listen()
        self._perform(self._connections.handle_timeout(_now()))
        self._flush()
        self._leaving = {wire for wire in self._leaving if not wire.closed.is_set()}
        if self._wake.is_set():
            await asyncio.sleep(0)  # other sessions and the daemon come first

    def _flush(self) -> None:
        """Tell the peer what is new, as much as the connection takes."""
        if self._wire is None:
            return
        self._session.blocked(_now(), is_blocked=not self._wire.writable)
        if self._wire.writable and self._session.has_news:
            self._perform(self._session.flush(_now()))
            if self._session.has_news:
                self._wake.set()

    async def _dial(self) -> None:
        """Open a connection, for ``_turn`` to find it or the reason why there is none."""
        try:
            self._dialled = await self._connect()
        except (OSError, LocalProtocolError) as error:
            self._dialled = error
        self._wake.set()

    async def _connect(self) -> Wire:
        """Open a connection. Raises OSError or LocalProtocolError, in words."""
        loop = asyncio.get_running_loop()
        peer, address = self._peer, self._peer.address
        if address is None:
            address = await self._link.wait(FINDING)
        sock = open_socket(peer, address)
        with contextlib.ExitStack() as unless_connected:
            unless_connected.callback(sock.close)
            await loop.sock_connect(sock, destination(peer, address))
            wire = await self._wire_on(sock)
            unless_connected.pop_all()
        return wire

    def _found(self) -> None:
        """Go to a router that is new on the link at once."""
        self._session.hasten(_now())
        self._wake.set()
        self._on_found()

    def _take_dialled(self) -> None:
        dialled, self._dialled = self._dialled, None
        match dialled:
            case Wire():
                self._wire = dialled
                local = self._addresses(dialled)
                self._perform(self._connections.connected(local, self._router_id(local), _now()))
            case Exception():
                self._perform(self._connections.connection_failed(self._words(dialled), _now()))

    async def _take_incoming(self) -> None:
        sock, self._incoming = self._incoming, None
        if sock is None:
            return
        with contextlib.ExitStack() as unless_taken:
            unless_taken.callback(sock.close)
            try:
                prepare(sock, self._peer)
                wire = await self._wire_on(sock)
            except OSError:  # it is gone already
                return
            unless_taken.pop_all()
        local = self._addresses(wire)
        wanted = self._connections.accepted(local, self._router_id(local), _now())
        match wanted:
            case (Decline(last_words),):
                wire.transport.write(last_words)
                self._close(wire)
            case (OnRival(), *_):
                self._rival = wire
                self._perform(wanted)
            case _:
                self._wire = wire
                self._perform(wanted)

    async def _wire_on(self, sock: socket.socket) -> Wire:
        # Without the zone of a link-local address, which is nobody else's business.
        local = ip_address(sock.getsockname()[0].partition("%")[0])
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: Wire(self._wake, local), sock=sock)
        return wire

    def _addresses(self, wire: Wire) -> LocalAddresses:
        return addresses_beside(wire.local_address, self._peer.interface or None)

    def _router_id(self, local: LocalAddresses) -> IPv4Address:
        return router_id_for(self._peer.router_id, local.own, local.ipv4, self._node_name)

    def _listen(self) -> None:
        if (wire := self._wire) is not None:
            if data := wire.take(RECEIVED_AT_ONCE):
                self._wake.set()  # there may be more
                self._perform(self._connections.receive(data, _now()))
            elif wire.lost is not None:
                self._perform(self._connections.connection_failed(wire.lost, _now()))
        if (rival := self._rival) is not None:
            if data := rival.take(RECEIVED_AT_ONCE):
                self._wake.set()
                self._perform(self._connections.receive_rival(data, _now()))
            elif rival.lost is not None:
                self._perform(self._connections.rival_failed(rival.lost, _now()))

    def _perform(self, wanted: Iterable[CollisionEffect]) -> None:
        for effect in wanted:
            match effect:
                case effects.Connect():
                    name = f"dial {self._peer}"
                    self._dialling = self._group.create_task(self._dial(), name=name)
                case effects.Send(data):
                    if self._wire is not None:
                        self._wire.transport.write(data)
                case effects.CloseTcp():
                    self._hang_up()
                case OnRival(action):
                    self._perform_on_rival(action)
                case Promote():
                    self._wire, self._rival = self._rival, None
                case _:
                    self._report(effect)

    def _perform_on_rival(self, action: effects.Send | effects.CloseTcp) -> None:
        if self._rival is None:
            return
        match action:
            case effects.Send(data):
                self._rival.transport.write(data)
            case effects.CloseTcp():
                self._close(self._rival)
                self._rival = None

    def _hang_up(self) -> None:
        """Close the session's connection, or give up opening it."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if isinstance(self._dialled, Wire):  # it came to stand in this very moment
            self._close(self._dialled)
        self._dialled = None
        if self._wire is not None:
            self._close(self._wire)
            self._wire = None

    def _close(self, wire: Wire) -> None:
        self._leaving.add(wire)
        wire.close()

    def _report(self, effect: CollisionEffect) -> None:
        if isinstance(effect, effects.SessionUp) and not effect.terms.hold_time and self._wire:
            self._wire.have_tcp_watch()
        event = _event_for(self._peer, effect)
        if isinstance(event, events.SessionUp) and self._link.address is not None:
            event = replace(event, terms=f"router at {self._link.address}, {event.terms}")
        if event is not None:
            self._on_event(event)

    def _words(self, error: Exception) -> str:
        if isinstance(error, OSError):
            return f'dial "{self._peer}": {plain(error)}'
        return str(error)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _event_for(peer: PeerSession, effect: CollisionEffect) -> BgpEvent | None:
    match effect:
        case effects.SessionUp(terms):
            agreed, words = terms.hold_time, describe(terms)
            return events.SessionUp(peer, terms.local_asn, terms.peer_asn, agreed, words)
        case effects.SessionDown(reason):
            return events.SessionDown(peer, reason)
        case effects.ConnectFailed(error):
            return events.ConnectFailed(peer, error)
        case effects.NotificationReceived(text):
            return events.NotificationReceived(peer, text)
        case effects.UpdatesSent(count):
            return events.UpdatesSent(peer, count)
        case PrefixCounts(announced, desired, not_carried):
            return events.PrefixCounts(peer, announced, desired, not_carried)
        case effects.UpdateReceived(update):
            return events.UpdateReceived(peer, update.malformed or "")
    return None
