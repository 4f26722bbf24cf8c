"""UDP sockets of BFD (RFC 5881 section 4, RFC 5883 section 5)."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from struct import Struct
from typing import Final

from metallb_py.protocols.bfd.sessions import Arrival
from metallb_py.protocols.bfd.settings import SINGLE_HOP_TTL, Path

BATCH: Final = 1024
"""Datagrams read from a socket before others are: more than a socket buffers."""

SOURCE_PORTS: Final = range(49152, 65536)
"""Source ports of control packets. A session keeps its port (RFC 5881 section 4)."""

_TRIES: Final = 64
_LARGEST: Final = 2048
_INTERNETWORK_CONTROL: Final = 0xC0  # class selector 6, which routers prioritize
# linux/in.h
_IP_PKTINFO: Final = 8
_IP_RECVTTL: Final = 12
_IPV4_INFO: Final = Struct("=I4s4s")  # in_pktinfo: index, local address, destination
_IPV6_INFO: Final = Struct("=16sI")  # in6_pktinfo: destination, index
_NUMBER: Final = Struct("=i")
_ANCILLARY: Final = 128


class Port(IntEnum):
    """Destination port of packets."""

    SINGLE_HOP = 3784
    ECHO = 3785
    MULTIHOP = 4784


@dataclass(frozen=True, slots=True)
class Place:
    """IP version (4 or 6) and port that a socket listens on."""

    version: int
    port: Port

    def __str__(self) -> str:
        """Return the text for errors: ``UDP port 3784 of IPv4``."""
        return f"UDP port {self.port.value} of IPv{self.version}"


class Listener:
    """Receives datagrams for one port of any address. Raises OSError where it can't be bound."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._socket = _udp_socket(place.version)
        with contextlib.ExitStack() as unless_bound:
            unless_bound.callback(self._socket.close)
            if place.version == 4:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self._socket.bind(("", place.port))
            unless_bound.pop_all()

    def fileno(self) -> int:
        """Return the descriptor, for epoll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def receive(self) -> Iterator[tuple[bytes, Arrival]]:
        """Yield up to BATCH datagrams that are waiting."""
        for _ in range(BATCH):
            try:
                data, ancillary, _, source = self._socket.recvmsg(_LARGEST, _ANCILLARY)
            except BlockingIOError:
                return
            arrival = self._arrival(ancillary, source[0])
            if arrival is not None:
                yield data, arrival

    def _arrival(self, ancillary: list[tuple[int, int, bytes]], source: str) -> Arrival | None:
        values = {(level, kind): data for level, kind, data in ancillary}
        if self.place.version == 4:
            ttl = values.get((socket.IPPROTO_IP, socket.IP_TTL))
            info = values.get((socket.IPPROTO_IP, _IP_PKTINFO))
            destination = info and _IPV4_INFO.unpack(info)[2]
        else:
            ttl = values.get((socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT))
            info = values.get((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO))
            destination = info and _IPV6_INFO.unpack(info)[0]
        if not ttl or not destination:
            return None
        return Arrival(
            ip_address(source.partition("%")[0]),
            ip_address(destination),
            _NUMBER.unpack(ttl)[0],
            multihop=self.place.port is Port.MULTIHOP,
        )


class Sender:
    """Sends one session's packets. Raises OSError where the local address can't be bound."""

    def __init__(self, path: Path, first_port: int) -> None:
        self._to = (str(path.peer), Port.MULTIHOP if path.multihop else Port.SINGLE_HOP)
        self._echo_to = (str(path.peer), Port.ECHO)
        self._socket = _udp_socket(path.peer.version)
        with contextlib.ExitStack() as unless_bound:
            unless_bound.callback(self._socket.close)
            self._bind(str(path.local or ""), first_port)
            unless_bound.pop_all()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send a control packet. Errors are ignored: the packet counts as lost."""
        self._set_ttl(SINGLE_HOP_TTL)
        self._send(data, self._to)

    def return_echo(self, data: bytes) -> None:
        """Send an echo packet back, with a TTL as decremented by a router that forwards it."""
        self._set_ttl(SINGLE_HOP_TTL - 1)
        self._send(data, self._echo_to)

    def _send(self, data: bytes, to: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(data, to)

    def _set_ttl(self, ttl: int) -> None:
        if self._socket.family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)

    def _bind(self, address: str, first_port: int) -> None:
        for number in range(_TRIES):
            port = SOURCE_PORTS[(first_port + number) % len(SOURCE_PORTS)]
            try:
                self._socket.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or number == _TRIES - 1:
                    raise
            else:
                return


def _udp_socket(version: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    if version == 4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _INTERNETWORK_CONTROL)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _INTERNETWORK_CONTROL)
    return sock
