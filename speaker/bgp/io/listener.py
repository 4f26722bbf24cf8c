"""Listener for BGP connections: accepts those of peers and closes those of other hosts."""

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
from metallb_py.model.peers import SessionParameters
from metallb_py.rate_limit import Rate, RateLimiter
from speaker.bgp.io.socket_options import family_of, send_with_highest_ttl
from speaker.bgp.io.transport import describe_error
from speaker.bgp.peering import ListenAt
from speaker.linux.tcp_md5 import forget_key, sign_segments

BACKLOG = 128

EACH = Rate(burst=8, per_second=1.0)
"""Rate at which connections of one peer are accepted: more than a peer that restarts needs."""
ALL = Rate(burst=4096, per_second=500.0)
"""Rate for all peers together: all of them may connect again at once."""
ACCEPTED_PER_TURN = 32
"""Number of connections that are accepted between two pauses."""
PAUSE = 0.02
"""Seconds of a pause: a flood waits in the kernel, and costs a bounded share of a core."""

_RETRY = Backoff(first=1.0, limit=30.0)

Accept = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True)
class ListenFailed:
    """Listening failed, so peers can't connect; it is retried."""

    at: ListenAt
    error: str


@dataclass(frozen=True, slots=True)
class UnknownPeerRejected:
    """A connection from a host that is not a peer of this node was closed."""

    address: str


@dataclass(frozen=True, slots=True)
class ConnectionsRefused:
    """A peer exceeded its rate of connections, and ``count`` of them were closed."""

    address: str
    count: int


ListenerEvent = ListenFailed | UnknownPeerRejected | ConnectionsRefused


class BgpListener:
    """Listening sockets for BGP. ``expect`` may be called at any time, from the loop."""

    def __init__(self, at: ListenAt, on_event: Callable[[ListenerEvent], None]) -> None:
        self._at = at
        self._on_event = on_event
        self._peers: Mapping[SessionParameters, Accept] = {}
        self._sockets: dict[socket.AddressFamily, _Listening] = {}
        self._limiter = RateLimiter(EACH, ALL, max_sources=16384)

    def expect(self, peers: Mapping[SessionParameters, Accept]) -> None:
        """Accept connections of exactly these peers; each is passed to the peer's function."""
        self._peers = peers
        for listening in self._sockets.values():
            self._apply(listening)

    async def run(self) -> None:
        """Listen until cancelled, on each address family independently of the other."""
        async with asyncio.TaskGroup() as group:
            for family in _families(self._at):
                group.create_task(self._serve(family), name=f"bgp listener {family.name}")

    async def _serve(self, family: socket.AddressFamily) -> None:
        failures, reported = 0, ""
        while True:
            try:
                with _bound(family, self._at) as sock:
                    listening = self._sockets[family] = _Listening(sock)
                    self._apply(listening)
                    sock.listen(BACKLOG)
                    failures, reported = 0, ""
                    await self._accept(sock)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT and self._at.address is None:
                    return  # the host has no IPv6
                if describe_error(error) != reported:
                    reported = describe_error(error)
                    self._on_event(ListenFailed(self._at, reported))
            finally:
                self._sockets.pop(family, None)
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures))

    async def _accept(self, listening: socket.socket) -> None:
        """Accept connections until that fails. Raises OSError."""
        loop = asyncio.get_running_loop()
        turn = 0
        while True:
            sock, _ = await loop.sock_accept(listening)
            accept = self._function_for(sock)
            if accept is not None:
                accept(sock)
            else:
                sock.close()
            turn += 1
            # sock_accept does not let other tasks run while connections are waiting.
            await asyncio.sleep(0 if turn % ACCEPTED_PER_TURN else PAUSE)

    def _function_for(self, sock: socket.socket) -> Accept | None:
        """Return the function of the peer that a connection belongs to, by both its addresses."""
        try:
            theirs, zone = _end(sock.getpeername())
            ours, _ = _end(sock.getsockname())
        except OSError:  # it is closed already
            return None
        for peer, accept in self._peers.items():
            if peer.password and not self._is_signed(peer):
                continue  # nothing proves that it is from this peer
            if peer.source_address in (None, ours) and _is_end_of(peer, theirs, zone):
                return accept if self._admits(theirs, zone) else None
        self._on_event(UnknownPeerRejected(str(theirs)))
        return None

    def _admits(self, theirs: IPAddress, zone: str) -> bool:
        """Whether another connection of a peer is accepted now."""
        admitted = self._limiter.admit((theirs, zone), asyncio.get_running_loop().time())
        if admitted is None:
            return False
        if admitted.suppressed:
            self._on_event(ConnectionsRefused(str(theirs), admitted.suppressed))
        return True

    def _is_signed(self, peer: SessionParameters) -> bool:
        return any(peer.address in listening.signed for listening in self._sockets.values())

    def _apply(self, listening: _Listening) -> None:
        """Set the options that the kernel applies before it hands over a connection."""
        # A peer that requires a TTL of 255 requires it of the SYN+ACK already.
        secured = any(peer.ttl_security is not None for peer in self._peers)
        send_with_highest_ttl(listening.sock, enabled=secured)
        wanted = {
            peer.address: peer.password
            for peer in self._peers
            if peer.password
            and peer.address is not None
            and family_of(peer.address) == listening.sock.family
        }
        for problem in listening.sign(wanted):
            self._on_event(ListenFailed(self._at, problem))


class _Listening:
    """A listening socket, and the TCP MD5 keys that the kernel has for it, by peer address."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.signed: dict[IPAddress, str] = {}

    def sign(self, wanted: Mapping[IPAddress, str]) -> Iterator[str]:
        """Make the kernel drop unsigned segments of these addresses; yield the errors."""
        for address in self.signed.keys() - wanted.keys():
            forget_key(self.sock, address)
            del self.signed[address]
        for address, password in wanted.items():
            if self.signed.get(address) == password:
                continue
            try:
                sign_segments(self.sock, address, password)
                self.signed[address] = password
            except (OSError, LocalProtocolError) as error:
                self.signed.pop(address, None)
                yield f"{address}: {describe_error(error)}"


def _families(at: ListenAt) -> tuple[socket.AddressFamily, ...]:
    if at.address is not None:
        return (family_of(at.address),)
    return (socket.AF_INET, socket.AF_INET6)


def _bound(family: socket.AddressFamily, at: ListenAt) -> socket.socket:
    """Open and bind a listening socket. Raises OSError."""
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


def _is_end_of(peer: SessionParameters, theirs: IPAddress, zone: str) -> bool:
    if zone:  # a link-local address is valid on its interface alone
        return peer.interface == zone and peer.address in (None, theirs)
    return peer.address == theirs


def _end(name: tuple[str, int] | tuple[str, int, int, int]) -> tuple[IPAddress, str]:
    """Return the address of one end of a connection, and the interface of a link-local one."""
    host, _, zone = name[0].partition("%")
    if len(name) == 4 and name[3]:
        zone = socket.if_indextoname(name[3])
    return ip_address(host), zone
