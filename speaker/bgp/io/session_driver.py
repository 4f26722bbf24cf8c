"""Driver of a BGP session: performs its effects, with one task and the connections of one peer.

All input is handled in one place, ``_run_once``; the callbacks of the transports only record it
and wake the task. A flush is bounded, and is made only when the transport has room, so the send
buffer never exceeds its limit by more than one flush.
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
from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.protocols.bgp.cease import SHUTDOWN, ShutdownRequest
from metallb_py.protocols.bgp.codec.codes import Cease
from metallb_py.protocols.bgp.connections import (
    CollisionEffect,
    Connections,
    OnIncoming,
    RejectConnection,
    SwitchConnection,
)
from metallb_py.protocols.bgp.effects import CloseTcp, Connect, Report, Send, SessionUp
from metallb_py.protocols.bgp.negotiation import RESTART_TIME, Settings
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from speaker.bgp.events import PeerEvent
from speaker.bgp.io.router_discovery import LinkRouter
from speaker.bgp.io.socket_options import destination, open_socket, prepare
from speaker.bgp.io.transport import RECEIVED_AT_ONCE, Connection, describe_error
from speaker.bgp.peering import router_id_for
from speaker.bgp.shutdown import ShutdownMode
from speaker.linux.addresses import addresses_beside

ROUTER_DISCOVERY_TIMEOUT = 5.0
"""Seconds for which an attempt to connect waits for an unnumbered peer to be discovered."""


class BgpSession:
    """The session with one peer, retried while ``run`` runs."""

    def __init__(
        self,
        peer: SessionParameters,
        node_name: str,
        on_event: Callable[[PeerEvent], None],
        on_found: Callable[[], None] = lambda: None,
    ) -> None:
        self._peer = peer
        self._on_found = on_found
        self._link = LinkRouter(peer.interface, self._on_router_found)
        self._node_name = node_name
        self._on_event = on_event
        # The kernel forwards packets whether this daemon runs or not. So the forwarding state was
        # preserved (RFC 4724), unless the node itself restarted within the restart time.
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        settings = Settings(peer, keeps_forwarding=uptime > RESTART_TIME, hostname=node_name)
        self._connections = Connections(settings, rng=random.random)
        self._session = self._connections.session
        self._shutdown_request = SHUTDOWN
        self._wake = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._dialling: asyncio.Task[None] | None = None
        self._dialled: Connection | OSError | LocalProtocolError | None = None
        self._accepted: socket.socket | None = None
        self._connection: Connection | None = None
        self._incoming: Connection | None = None
        self._closing: set[Connection] = set()

    def change_routes(
        self,
        wanted: Mapping[IPNetwork, RouteAttributes],
        unwanted: Iterable[IPNetwork] = (),
        *,
        complete: bool,
    ) -> None:
        """Advertise the ``wanted`` routes, and withdraw the ``unwanted`` prefixes.

        ``complete``: these complete the initial set, after which End-of-RIB is sent.
        """
        self._perform(self._session.change_routes(wanted, unwanted, complete=complete))
        self._wake.set()

    @property
    def resolved_peer(self) -> SessionParameters:
        """The peer, with the discovered address where the configuration has none."""
        found = self._link.address
        return self._peer if found is None else replace(self._peer, address=found)

    def accept(self, sock: socket.socket) -> None:
        """Take over a connection that the peer opened; it may be rejected (RFC 4271 6.8)."""
        if self._accepted is not None:  # the peer opened another one: it has lost the earlier
            self._accepted.close()
        self._accepted = sock
        self._wake.set()

    def bfd_down(self, why: str) -> None:
        """Close the session at once: BFD reports the peer as down, for the reason ``why``."""
        self._perform(self._session.bfd_down(why, _now()))
        self._wake.set()

    def deconfigure(self) -> None:
        """Make ``run`` end the session with Cease, Peer De-configured, when it is cancelled."""
        self._shutdown_request = ShutdownRequest(Cease.PEER_DECONFIGURED)

    def begin_shutdown(self, mode: ShutdownMode) -> bool | None:
        """Prepare for the end of ``run``; return whether the peer keeps the routes.

        It is None where no session is established. A peer that does not keep the routes is sent
        them with GRACEFUL_SHUTDOWN at once (RFC 8326).
        """
        self._shutdown_request = ShutdownRequest(
            text=mode.why, withdraw_routes=True, graceful_restart=mode.graceful_restart
        )
        if not self._session.is_up:
            return None
        if mode.graceful_restart and self._session.peer_retains_routes:
            return True
        self._session.drain()
        self._wake.set()
        return False

    async def run(self) -> None:
        """Hold the session until cancelled; then end it, within LINGER seconds."""
        async with self._group as group:
            if self._peer.address is None:
                group.create_task(self._link.run(), name=f"router on {self._peer.interface}")
            await self._hold()

    async def _hold(self) -> None:
        try:
            self._perform(self._session.start(_now()))
            while True:
                await self._run_once()
        finally:
            self._perform(self._connections.stop(_now(), self._shutdown_request))
            if self._accepted is not None:
                self._accepted.close()
            for connection in self._closing:
                await connection.closed.wait()

    async def _run_once(self) -> None:
        """Wait for input or a deadline, and handle all that there is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._connections.next_deadline()):
                await self._wake.wait()
        self._wake.clear()
        self._take_dialled()
        await self._take_accepted()
        self._receive()
        self._perform(self._connections.handle_timeout(_now()))
        self._flush()
        self._closing = {each for each in self._closing if not each.closed.is_set()}
        if self._wake.is_set():
            await asyncio.sleep(0)  # let other tasks run first

    def _flush(self) -> None:
        """Send pending changes of routes, as many as the connection accepts."""
        if self._connection is None:
            return
        self._session.set_send_blocked(_now(), is_blocked=not self._connection.writable)
        if self._connection.writable and self._session.has_pending:
            self._perform(self._session.flush(_now()))
            if self._session.has_pending:
                self._wake.set()

    async def _dial(self) -> None:
        """Open a connection, and leave it or the error to ``_run_once``."""
        try:
            self._dialled = await self._connect()
        except (OSError, LocalProtocolError) as error:
            self._dialled = error
        self._wake.set()

    async def _connect(self) -> Connection:
        """Open a connection. Raises OSError or LocalProtocolError."""
        loop = asyncio.get_running_loop()
        peer, address = self._peer, self._peer.address
        if address is None:
            address = await self._link.wait(ROUTER_DISCOVERY_TIMEOUT)
        sock = open_socket(peer, address)
        with contextlib.ExitStack() as unless_connected:
            unless_connected.callback(sock.close)
            await loop.sock_connect(sock, destination(peer, address))
            connection = await self._connection_on(sock)
            unless_connected.pop_all()
        return connection

    def _on_router_found(self) -> None:
        """Connect at once to a router that was discovered."""
        self._session.expire_connect_retry(_now())
        self._wake.set()
        self._on_found()

    def _take_dialled(self) -> None:
        dialled, self._dialled = self._dialled, None
        match dialled:
            case Connection():
                self._connection = dialled
                local = self._addresses(dialled)
                self._perform(self._connections.connected(local, self._router_id(local), _now()))
            case Exception():
                error = self._describe(dialled)
                self._perform(self._connections.connection_failed(error, _now()))

    async def _take_accepted(self) -> None:
        sock, self._accepted = self._accepted, None
        if sock is None:
            return
        with contextlib.ExitStack() as unless_taken:
            unless_taken.callback(sock.close)
            try:
                prepare(sock, self._peer)
                connection = await self._connection_on(sock)
            except OSError:  # it is closed already
                return
            unless_taken.pop_all()
        local = self._addresses(connection)
        wanted = self._connections.accepted(local, self._router_id(local), _now())
        match wanted:
            case (RejectConnection(notification),):
                connection.transport.write(notification)
                self._close(connection)
            case (OnIncoming(), *_):
                self._incoming = connection
                self._perform(wanted)
            case _:
                self._connection = connection
                self._perform(wanted)

    async def _connection_on(self, sock: socket.socket) -> Connection:
        # Without the zone of a link-local address, which means nothing on another host.
        local = ip_address(sock.getsockname()[0].partition("%")[0])
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._wake, local), sock=sock
        )
        return connection

    def _addresses(self, connection: Connection) -> LocalAddresses:
        return addresses_beside(connection.local_address, self._peer.interface or None)

    def _router_id(self, local: LocalAddresses) -> IPv4Address:
        return router_id_for(self._peer.router_id, local.own, local.ipv4, self._node_name)

    def _receive(self) -> None:
        if (connection := self._connection) is not None:
            if data := connection.take(RECEIVED_AT_ONCE):
                self._wake.set()  # there may be more
                self._perform(self._connections.receive(data, _now()))
            elif connection.lost is not None:
                self._perform(self._connections.connection_failed(connection.lost, _now()))
        if (incoming := self._incoming) is not None:
            if data := incoming.take(RECEIVED_AT_ONCE):
                self._wake.set()
                self._perform(self._connections.receive_on_incoming(data, _now()))
            elif incoming.lost is not None:
                self._perform(self._connections.incoming_failed(incoming.lost, _now()))

    def _perform(self, wanted: Iterable[CollisionEffect]) -> None:
        for effect in wanted:
            match effect:
                case Connect():
                    name = f"dial {self._peer}"
                    self._dialling = self._group.create_task(self._dial(), name=name)
                case Send(data):
                    if self._connection is not None:
                        self._connection.transport.write(data)
                case CloseTcp():
                    self._close_connection()
                case OnIncoming(action):
                    self._perform_on_incoming(action)
                case SwitchConnection():
                    self._connection, self._incoming = self._incoming, None
                case RejectConnection():
                    pass  # of the connection that was just accepted: _take_accepted performs it
                case _:
                    self._report(effect)

    def _perform_on_incoming(self, action: Send | CloseTcp) -> None:
        if self._incoming is None:
            return
        match action:
            case Send(data):
                self._incoming.transport.write(data)
            case CloseTcp():
                self._close(self._incoming)
                self._incoming = None

    def _close_connection(self) -> None:
        """Close the session's connection, or cancel the attempt to open it."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if isinstance(self._dialled, Connection):  # it was opened since the last _run_once
            self._close(self._dialled)
        self._dialled = None
        if self._connection is not None:
            self._close(self._connection)
            self._connection = None

    def _close(self, connection: Connection) -> None:
        self._closing.add(connection)
        connection.close()

    def _report(self, effect: Report) -> None:
        if isinstance(effect, SessionUp) and not effect.terms.hold_time and self._connection:
            self._connection.enable_tcp_keepalive()
        self._on_event(PeerEvent(self._peer, effect, self._link.address))

    def _describe(self, error: Exception) -> str:
        if isinstance(error, OSError):
            return f'dial "{self._peer}": {describe_error(error)}'
        return str(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
