"""UDP socket that also reports destinations without a listener, which an ordinary socket hides.

``IP_RECVERR`` (ip(7)) makes the kernel queue the ICMP errors that our datagrams caused, each with
the destination of the datagram. A refusal counts only if the destination itself sent it: routers
and firewalls send such errors on behalf of hosts whose state they do not have.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from metallb_py.protocols.memberlist.codec.messages import Endpoint

BATCH: Final = 64
"""Number of datagrams that are read before other work of the loop."""
_LARGEST: Final = 65536
# linux/in.h, linux/in6.h, linux/errqueue.h
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_ORIGINS: Final = (2, 3)  # ICMP, ICMPv6
_EXTENDED_ERROR: Final = struct.Struct("=IBBBxII")
_IPV4_OFFENDER: Final = struct.Struct("=H2x4s")
_IPV6_OFFENDER: Final = struct.Struct("=H6x16s")
_IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"


class Datagrams:
    """A UDP socket bound to one address and port. Raises OSError if they are not available."""

    def __init__(self, bind: Endpoint) -> None:
        version = bind.address.version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if version == 4:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.bind((str(bind.address), bind.port))
        except OSError:
            self._socket.close()
            raise

    @property
    def endpoint(self) -> Endpoint:
        """The address and port to which the socket is bound."""
        return _endpoint(self._socket.getsockname())

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, to: Endpoint, data: bytes) -> bool:
        """Send a datagram. Return whether the kernel accepted it; it may be lost in any case."""
        # The first call may report the error of an earlier datagram.
        return any(self._send(to, data) for _ in range(2))

    def _send(self, to: Endpoint, data: bytes) -> bool:
        try:
            self._socket.sendto(data, (str(to.address), to.port))
        except OSError:
            return False
        return True

    def receive(self) -> Iterator[tuple[bytes, Endpoint]]:
        """Yield the queued datagrams, each with its source; up to BATCH."""
        for _ in range(BATCH):
            try:
                data, source = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError:  # the error of a datagram of ours; ``refusals`` reports it in full
                continue
            yield data, _endpoint(source)

    def refusals(self) -> Iterator[Endpoint]:
        """Yield destinations whose host reported that no socket listens there; up to BATCH."""
        for _ in range(BATCH):
            try:
                _, control, _, target = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            endpoint = _endpoint(target)
            if any(_is_refusal(data, endpoint) for _, _, data in control):
                yield endpoint


def _endpoint(address: tuple[str, int]) -> Endpoint:
    return Endpoint(ip_address(address[0].partition("%")[0]), address[1])


def _is_refusal(data: bytes, target: Endpoint) -> bool:
    if len(data) < _EXTENDED_ERROR.size:
        return False
    number, origin, _, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
    if number != errno.ECONNREFUSED or origin not in _ORIGINS:
        return False
    return _offender(data[_EXTENDED_ERROR.size :]) == target.address.packed


def _offender(data: bytes) -> bytes:
    """Return the packed address of the host that sent an error, from a ``sockaddr``."""
    family = struct.unpack_from("=H", data)[0] if len(data) >= 2 else None
    if family == socket.AF_INET and len(data) >= _IPV4_OFFENDER.size:
        packed: bytes = _IPV4_OFFENDER.unpack_from(data)[1]
        return packed
    if family == socket.AF_INET6 and len(data) >= _IPV6_OFFENDER.size:
        packed = _IPV6_OFFENDER.unpack_from(data)[1]
        return packed.removeprefix(_IPV4_MAPPED)
    return b""
