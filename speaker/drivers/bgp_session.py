"""Performs what a BGP session asks for: one task, one TCP connection at a time.

All that happens is looked at in one place, ``_turn``; the transport's callbacks only note what
came and wake the task. A flush is bounded, and comes only when the transport has room, so the
send buffer never holds more than one flush above its limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp import effects
from metallb_py.protocols.bgp.adj_rib_out import PrefixCounts, RouteAttributes
from metallb_py.protocols.bgp.codes import Cease
from metallb_py.protocols.bgp.effects import Effect
from metallb_py.protocols.bgp.farewell import SHUTDOWN, Farewell
from metallb_py.protocols.bgp.session import Session
from speaker.bgp import events
from speaker.bgp.events import BgpEvent
from speaker.bgp.peering import PeerSession, router_id_for
from speaker.bgp.session_settings import settings_for
from speaker.drivers.local_addresses import addresses_beside
from speaker.drivers.tcp_md5 import sign_segments
from speaker.parting import Parting

UNSENT = 65536
"""Bytes that may wait in the kernel: what waits there can't be replaced by newer news."""

RECEIVED_AT_ONCE = 16384
"""Bytes to look at before others get their turn; four times as many may wait to be read."""

LINGER = 1.0
"""Seconds for the last bytes to leave; then the connection is cut."""

PROBE_AFTER, PROBE_EVERY, GIVE_UP_AFTER = 30, 20, 90
"""Seconds of silence, between TCP's keepalives, and until the peer of a session counts as gone
that agreed on a hold time of 0, where BGP itself would never notice. As fast as MetalLB's default
hold time is."""


class BgpSession:
    """One session with one peer, tried for as long as ``run`` runs."""

    def __init__(
        self, peer: PeerSession, node_name: str, on_event: Callable[[BgpEvent], None]
    ) -> None:
        self._peer = peer
        self._node_name = node_name
        self._on_event = on_event
        self._session = Session(settings_for(peer, node_name))
        self._farewell = SHUTDOWN
        self._wake = asyncio.Event()
        self._dial_wanted = False
        self._wire: _Wire | None = None
        self._leaving: _Wire | None = None

    def change_routes(
        self, wanted: Mapping[IPNetwork, RouteAttributes], unwanted: Iterable[IPNetwork] = ()
    ) -> None:
        """Advertise these from now on, and those no longer."""
        self._perform(self._session.change_routes(wanted, unwanted))
        self._wake.set()

    def bfd_down(self, why: str) -> None:
        """BFD lost the peer, in these words: close at once what there is of a session."""
        self._perform(self._session.bfd_down(why, self._now()))
        self._wake.set()

    def complete(self) -> None:
        """The routes so far are all that there are: tell the peer so once it knows them."""
        self._session.complete()
        self._wake.set()

    def deconfigure(self) -> None:
        """When ``run`` is cancelled, tell the peer that it is wanted no longer."""
        self._farewell = Farewell(Cease.PEER_DECONFIGURED)

    def part(self, parting: Parting) -> Farewell | None:
        """Prepare to end with ``run``; return how, or None where there is no session to end.

        A peer that is not to keep the routes hears at once that these are about to go (RFC 8326).
        """
        if not self._session.is_up:
            return None
        stay = parting.routes_stay and self._session.peer_keeps_routes
        self._farewell = Farewell(text=parting.why, withdraws=not stay, routes_stay=stay)
        if not stay:
            self._session.drain()
            self._wake.set()
        return self._farewell

    async def run(self) -> None:
        """Hold the session until cancelled; then tell the peer, within LINGER, and end."""
        try:
            self._perform(self._session.start(self._now()))
            while True:
                if self._dial_wanted:
                    await self._dial()
                await self._turn()
        finally:
            self._perform(self._session.stop(self._now(), self._farewell))
            if self._leaving is not None:
                await self._leaving.closed.wait()

    async def _dial(self) -> None:
        self._dial_wanted = False
        limit = asyncio.timeout_at(self._session.next_deadline())
        try:
            async with limit:
                self._wire = await self._connect()
        except (OSError, LocalProtocolError) as error:
            if not limit.expired():  # if it is, the session's own deadline tells it
                words = _words(self._peer, error)
                self._perform(self._session.connection_failed(words, self._now()))
            return
        local = addresses_beside(self._wire.local_address, self._peer.interface or None)
        router_id = router_id_for(self._peer.router_id, local.own, local.ipv4, self._node_name)
        self._perform(self._session.connected(local, router_id, self._now()))

    async def _connect(self) -> _Wire:
        loop = asyncio.get_running_loop()
        peer, address = self._peer, self._peer.address
        if address is None:
            raise LocalProtocolError(f"no peer is known on {peer.interface}")
        sock = _open_socket(peer, address)
        with contextlib.ExitStack() as unless_connected:
            unless_connected.callback(sock.close)
            await loop.sock_connect(sock, (str(address), peer.port))
            # Without the zone of a link-local address, which is nobody else's business.
            local = ip_address(sock.getsockname()[0].partition("%")[0])
            _, wire = await loop.create_connection(lambda: _Wire(self._wake, local), sock=sock)
            unless_connected.pop_all()
        return wire

    async def _turn(self) -> None:
        """Wait until something happens, and deal with all that did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._session.next_deadline()):
                await self._wake.wait()
        self._wake.clear()
        now = self._now()
        if self._wire is not None:
            self._listen(self._wire, now)
        self._perform(self._session.handle_timeout(now))
        if self._wire is not None and self._wire.writable and self._session.has_news:
            self._perform(self._session.flush(now))
            if self._session.has_news:
                self._wake.set()
        if self._wake.is_set():
            await asyncio.sleep(0)  # other sessions and the daemon come first

    def _listen(self, wire: _Wire, now: float) -> None:
        if data := wire.take(RECEIVED_AT_ONCE):
            self._wake.set()  # there may be more
            self._perform(self._session.receive(data, now))
        elif wire.lost is not None:
            self._perform(self._session.connection_failed(wire.lost, now))

    def _perform(self, wanted: Iterable[Effect]) -> None:
        for effect in wanted:
            match effect:
                case effects.Connect():
                    self._dial_wanted = True
                case effects.Send(data):
                    if self._wire is not None:
                        self._wire.transport.write(data)
                case effects.CloseTcp():
                    self._close()
                case _:
                    self._report(effect)

    def _close(self) -> None:
        if self._wire is not None:
            self._leaving, self._wire = self._wire, None
            self._leaving.close()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _report(self, effect: Effect) -> None:
        if isinstance(effect, effects.SessionUp) and not effect.terms.hold_time and self._wire:
            self._wire.have_tcp_watch()
        event = _event_for(self._peer, effect)
        if event is not None:
            self._on_event(event)


class _Wire(asyncio.Protocol):
    """Notes what a transport reports until the session's task looks."""

    transport: asyncio.Transport

    def __init__(self, wake: asyncio.Event, local_address: IPAddress) -> None:
        self.local_address = local_address
        self._wake = wake
        self._received = bytearray()
        self.lost: str | None = None
        self.writable = True
        self.closed = asyncio.Event()

    def take(self, limit: int) -> bytes:
        """Return what came in first, up to this many bytes."""
        data = bytes(self._received[:limit])
        del self._received[:limit]
        if len(self._received) < limit:
            self.transport.resume_reading()
        return data

    def have_tcp_watch(self) -> None:
        """Have the kernel cut the connection when the peer answers no more (RFC 1122, RFC 5482)."""
        sock: TransportSocket = self.transport.get_extra_info("socket")
        for option, value in (
            (socket.TCP_KEEPIDLE, PROBE_AFTER),
            (socket.TCP_KEEPINTVL, PROBE_EVERY),
            (socket.TCP_USER_TIMEOUT, GIVE_UP_AFTER * 1000),  # where data waits for its ACK, too
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def close(self) -> None:
        """Close once everything has left, or after LINGER without it."""
        self.transport.close()
        asyncio.get_running_loop().call_later(LINGER, self.transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > 4 * RECEIVED_AT_ONCE:
            self.transport.pause_reading()
        self._wake.set()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._wake.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = "connection closed by peer" if exc is None else _plain(exc)
        self.closed.set()
        self._wake.set()


def _open_socket(peer: PeerSession, address: IPAddress) -> socket.socket:
    """Return a socket ready to connect. Raises OSError or LocalProtocolError, in words."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.ExitStack() as unless_ready:
        unless_ready.callback(sock.close)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        if peer.password:
            sign_segments(sock, address, peer.password)
        if peer.source_address is not None:
            _bind(sock, peer.source_address, address)
        unless_ready.pop_all()
    return sock


def _bind(sock: socket.socket, source: IPAddress, peer: IPAddress) -> None:
    if source.version != peer.version:
        raise LocalProtocolError(f'source address "{source}" is of another family than the peer')
    try:
        sock.bind((str(source), 0))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise LocalProtocolError(f'Address "{source}" doesn\'t exist on this host') from error
        raise


def _words(peer: PeerSession, error: Exception) -> str:
    if isinstance(error, OSError):
        return f'dial "{peer}": {_plain(error)}'
    return str(error)


def _plain(error: Exception) -> str:
    """Say it as the C library does, without numbers and Python's decoration."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)


def _event_for(peer: PeerSession, effect: Effect) -> BgpEvent | None:
    match effect:
        case effects.SessionUp(terms):
            return events.SessionUp(peer, terms.local_asn, terms.peer_asn, terms.hold_time)
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
