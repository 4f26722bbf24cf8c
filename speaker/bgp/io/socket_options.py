"""Sockets for BGP connections, with the options that are configured for a peer."""

from __future__ import annotations

import contextlib
import errno
import socket

from metallb_py.addresses import IPAddress
from metallb_py.errors import LocalProtocolError
from metallb_py.model.peers import SessionParameters
from speaker.linux.tcp_md5 import sign_segments

UNSENT = 65536
"""Bytes that may wait unsent in the kernel: updates there can't be replaced by newer ones."""

_MAX_TTL = 255
_DEFAULT_TTL = -1
_IP_MINTTL = 21
_IPV6_MINHOPCOUNT = 73

Destination = tuple[str, int] | tuple[str, int, int, int]


def open_socket(peer: SessionParameters, address: IPAddress) -> socket.socket:
    """Return a socket ready to connect. Raises OSError or LocalProtocolError."""
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    with contextlib.ExitStack() as unless_ready:
        unless_ready.callback(sock.close)
        sock.setblocking(False)
        if peer.password:
            sign_segments(sock, address, peer.password)
        if peer.source_address is not None:
            _bind(sock, peer.source_address, address)
        prepare(sock, peer)
        unless_ready.pop_all()
    return sock


def prepare(sock: socket.socket, peer: SessionParameters) -> None:
    """Set the options of every connection with this peer, in or out. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    if peer.ttl_security is not None:
        _allow_hops(sock, peer.ttl_security)


def send_with_highest_ttl(sock: socket.socket, *, enabled: bool) -> None:
    """Send with a TTL of 255, which no router has decremented (RFC 5082), or with the default."""
    ttl = _MAX_TTL if enabled else _DEFAULT_TTL
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)


def destination(peer: SessionParameters, address: IPAddress) -> Destination:
    """Return the address to connect to. Raises LocalProtocolError where it has no interface."""
    if not (address.version == 6 and address.is_link_local):
        return str(address), peer.port
    if not peer.interface:
        raise LocalProtocolError(
            f"link-local address {address}: want an interface beside it in the configuration"
        )
    try:
        return str(address), peer.port, 0, socket.if_nametoindex(peer.interface)
    except OSError as error:
        raise LocalProtocolError(f'interface "{peer.interface}" doesn\'t exist') from error


def family_of(address: IPAddress) -> socket.AddressFamily:
    """Return the socket family of an address."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _allow_hops(sock: socket.socket, hops: int) -> None:
    """Drop packets from farther away (RFC 5082 section 3). 1 hop: no router in between."""
    lowest = _MAX_TTL + 1 - hops
    send_with_highest_ttl(sock, enabled=True)
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, lowest)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, lowest)


def _bind(sock: socket.socket, source: IPAddress, peer: IPAddress) -> None:
    if source.version != peer.version:
        raise LocalProtocolError(f'source address "{source}" is of another family than the peer')
    try:
        sock.bind((str(source), 0))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise LocalProtocolError(f'Address "{source}" doesn\'t exist on this host') from error
        raise
