"""Driver of router discovery: a raw ICMPv6 socket on the link of an unnumbered peer.

The socket needs CAP_NET_RAW.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from struct import Struct

from metallb_py.backoff import Backoff
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.ndp import ALL_ROUTERS, HOP_LIMIT
from metallb_py.protocols.router_discovery import (
    ADVERTISEMENT,
    SOLICITATION,
    Effect,
    Packet,
    RouterDiscovery,
    RouterDiscoveryError,
    RouterFound,
    Transmit,
)
from speaker.bgp.io.transport import describe_error
from speaker.linux.addresses import link_local_address

_ICMPV6_FILTER = 1  # linux/icmpv6.h; a set bit blocks a type
_RETRY = Backoff(first=1.0, limit=10.0)
_LARGEST = 2048
_PACKET_INFO = Struct("=16sI")
_NUMBER = Struct("=i")


class LinkRouter:
    """The router on one interface. ``on_found`` is called from the loop when another is found."""

    def __init__(self, interface: str, on_found: Callable[[], None]) -> None:
        self._interface = interface
        self._on_found = on_found
        self._discovery = RouterDiscovery(random.random)
        self._arrived = asyncio.Event()
        self._problem: str | None = None
        self.address: IPv6Address | None = None

    async def wait(self, seconds: float) -> IPv6Address:
        """Return the router's address; wait up to ``seconds`` until it is discovered.

        Raises LocalProtocolError where it is not.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), seconds)
        if self.address is None:
            why = self._problem or "no router advertises itself there"
            raise LocalProtocolError(f'interface "{self._interface}": {why}')
        return self.address

    async def run(self) -> None:
        """Discover the router, and advertise this node, until cancelled; errors are retried."""
        failures = 0
        while True:
            try:
                with _open(self._interface) as sock:
                    self._perform(sock, self._discovery.start(_now()))
                    self._problem, failures = None, 0
                    await self._use(sock)
            except OSError as error:
                self._problem = describe_error(error)
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures))

    async def _use(self, sock: socket.socket) -> None:
        """Receive and send until cancelled. Raises OSError, also where the interface is removed."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(sock, readable.set)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._discovery.next_deadline()):
                        await readable.wait()
                readable.clear()
                with contextlib.suppress(BlockingIOError):
                    self._receive(sock)
                self._perform(sock, self._discovery.handle_timeout(_now()))
        finally:
            loop.remove_reader(sock)

    def _receive(self, sock: socket.socket) -> None:
        data, ancillary, _, source = sock.recvmsg(_LARGEST, socket.CMSG_SPACE(_NUMBER.size))
        hop_limit = next(
            (
                _NUMBER.unpack(value)[0]
                for _, kind, value in ancillary
                if kind == socket.IPV6_HOPLIMIT
            ),
            0,
        )
        packet = Packet(data, IPv6Address(source[0].partition("%")[0]), hop_limit)
        with contextlib.suppress(RouterDiscoveryError):  # malformed or forged: discard it
            self._perform(sock, self._discovery.receive(packet, _now()))

    def _perform(self, sock: socket.socket, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Transmit(data, destination):
                    self._transmit(sock, data, destination)
                case RouterFound(address):
                    self.address = address
                    self._arrived.set()
                    self._on_found()

    def _transmit(self, sock: socket.socket, data: bytes, destination: IPv6Address) -> None:
        """Send from the link-local address: hosts discard other sources (RFC 4861 6.1.2)."""
        own = link_local_address(self._interface)
        if own is None:  # not yet: duplicate address detection
            self._problem = "it has no link-local address"
            return
        self._problem = None
        index = socket.if_nametoindex(self._interface)
        info = _PACKET_INFO.pack(own.packed, index)
        ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]
        sock.sendmsg([data], ancillary, 0, (str(destination), 0, 0, index))


def _open(interface: str) -> socket.socket:
    """Open a socket for both types of message on one link. Raises OSError."""
    index = socket.if_nametoindex(interface)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with contextlib.ExitStack() as unless_open:
        unless_open.callback(sock.close)
        sock.setblocking(False)
        passed = 1 << SOLICITATION | 1 << ADVERTISEMENT
        blocked = b"".join(
            ((~passed >> shift) & 0xFFFFFFFF).to_bytes(4, sys.byteorder)
            for shift in range(0, 256, 32)
        )
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, blocked)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        membership = ALL_ROUTERS.packed + index.to_bytes(4, sys.byteorder)
        for option, value in (
            (socket.IPV6_JOIN_GROUP, membership),
            (socket.IPV6_RECVHOPLIMIT, 1),
            (socket.IPV6_MULTICAST_HOPS, HOP_LIMIT),
            (socket.IPV6_MULTICAST_LOOP, 0),
        ):
            sock.setsockopt(socket.IPPROTO_IPV6, option, value)
        unless_open.pop_all()
    return sock


def _now() -> float:
    return asyncio.get_running_loop().time()
