"""Takes connections from BGP peers and turns strangers away."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from metallb_py.addresses import IPAddress
from metallb_py.backoff import Backoff
from metallb_py.errors import LocalProtocolError
from speaker.bgp.listening import ListenAt
from speaker.bgp.peering import PeerSession
from speaker.drivers.bgp_socket import family_of, send_with_highest_ttl
from speaker.drivers.bgp_wire import plain
from speaker.drivers.tcp_md5 import forget_key, sign_segments

BACKLOG = 128
STRANGERS_TOLD = 100
"""Strangers that are told of once each; of more nothing is told."""

_RETRY = Backoff(first=1.0, limit=30.0)

Take = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True)
class ListenFailed:
    """Peers can't connect; it is tried again."""

    at: ListenAt
    error: str


@dataclass(frozen=True, slots=True)
class StrangerRefused:
    """Somebody connected who is no peer of this node. Told once of each."""

    address: str


ListenerEvent = ListenFailed | StrangerRefused


class BgpListener:
    """Listens while there are peers; ``expect`` may be called at any time, from the loop."""

    def __init__(self, at: ListenAt, on_event: Callable[[ListenerEvent], None]) -> None:
        self._at = at
        self._on_event = on_event
        self._peers: Mapping[PeerSession, Take] = {}
        self._sockets: tuple[socket.socket, ...] = ()
        self._signed: dict[IPAddress, str] = {}
        self._strangers: set[str] = set()

    def expect(self, peers: Mapping[PeerSession, Take]) -> None:
        """Hand the connections of these peers over, and no others'."""
        self._peers = peers
        self._apply()

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                with contextlib.ExitStack() as open_sockets:
                    for sock in _bound_sockets(self._at):
                        open_sockets.enter_context(sock)
                        self._sockets = (*self._sockets, sock)
                    self._signed = {}
                    self._apply()
                    for sock in self._sockets:
                        sock.listen(BACKLOG)
                    failures = 0
                    await self._accept_all()
            except OSError as error:
                self._on_event(ListenFailed(self._at, plain(error)))
            finally:
                self._sockets = ()
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures))

    async def _accept_all(self) -> None:
        """Accept on every socket until one fails. Raises OSError."""
        accepting = [asyncio.ensure_future(self._accept(sock)) for sock in self._sockets]
        try:
            done, _ = await asyncio.wait(accepting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in accepting:
                task.cancel()
            await asyncio.wait(accepting)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(listening)
            take = self._whose(sock)
            if take is not None:
                take(sock)
            else:
                sock.close()

    def _whose(self, sock: socket.socket) -> Take | None:
        """Return who takes a connection, by its two ends."""
        try:
            theirs, zone = _end(sock.getpeername())
            ours, _ = _end(sock.getsockname())
        except OSError:  # it is gone already
            return None
        for peer, take in self._peers.items():
            if peer.password and peer.address not in self._signed:
                continue  # nothing says that it is this peer
            if peer.source_address in (None, ours) and _is_end_of(peer, theirs, zone):
                return take
        told = str(theirs)
        if told not in self._strangers and len(self._strangers) < STRANGERS_TOLD:
            self._strangers.add(told)
            self._on_event(StrangerRefused(told))
        return None

    def _apply(self) -> None:
        """Prepare for these peers what the kernel does before a connection is ours to look at."""
        secured = any(peer.ttl_security is not None for peer in self._peers)
        for sock in self._sockets:  # who wants a TTL of 255 wants it of the SYN+ACK already
            send_with_highest_ttl(sock, enabled=secured)
        self._sign()

    def _sign(self) -> None:
        """Have the kernel drop what peers with a password send unsigned."""
        if not self._sockets:
            return
        wanted = {
            peer.address: peer.password
            for peer in self._peers
            if peer.password and peer.address is not None
        }
        before, self._signed = self._signed, {}
        for address in before.keys() - wanted.keys():
            for sock in self._for(address):
                forget_key(sock, address)
        for address, password in wanted.items():
            try:
                for sock in self._for(address) if before.get(address) != password else ():
                    sign_segments(sock, address, password)
                self._signed[address] = password
            except (OSError, LocalProtocolError) as error:
                self._on_event(ListenFailed(self._at, f"{address}: {plain(error)}"))

    def _for(self, address: IPAddress) -> Iterator[socket.socket]:
        return (sock for sock in self._sockets if sock.family == family_of(address))


def _bound_sockets(at: ListenAt) -> Iterator[socket.socket]:
    """Open and bind what is to be listened on. Raises OSError; a host without IPv6 does without."""
    if at.address is not None:
        yield _bound(family_of(at.address), at)
        return
    yield _bound(socket.AF_INET, at)
    try:
        yield _bound(socket.AF_INET6, at)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise


def _bound(family: socket.AddressFamily, at: ListenAt) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.ExitStack() as unless_bound:
        unless_bound.callback(sock.close)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(at.address) if at.address is not None else "", at.port))
        unless_bound.pop_all()
    return sock


def _is_end_of(peer: PeerSession, theirs: IPAddress, zone: str) -> bool:
    if zone:  # a link-local address means something on its interface alone
        return peer.interface == zone and peer.address in (None, theirs)
    return peer.address == theirs


def _end(name: tuple[str, int] | tuple[str, int, int, int]) -> tuple[IPAddress, str]:
    """Return the address of a connection's end, and its interface if that belongs to it."""
    host, _, zone = name[0].partition("%")
    if len(name) == 4 and name[3]:
        zone = socket.if_indextoname(name[3])
    return ip_address(host), zone
