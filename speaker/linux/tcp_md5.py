"""TCP MD5 signatures (RFC 2385) as a socket option of Linux. Short: that option alone."""

from __future__ import annotations

import socket
from struct import Struct

from metallb_py.addresses import IPAddress
from metallb_py.errors import LocalProtocolError

MAX_PASSWORD = 80
"""Maximum length of a password, in bytes (TCP_MD5SIG_MAXKEYLEN)."""

_TCP_MD5SIG = 14
_SOCKADDR_V4 = Struct("=HH4s120x")
_SOCKADDR_V6 = Struct("=HHI16sI100x")
_MD5SIG = Struct("=128sBBHi80s")  # peer, flags, prefix length, key length, interface, key


def sign_segments(sock: socket.socket, peer: IPAddress, password: str) -> None:
    """Sign segments to this peer and drop unsigned ones from it. Call before ``connect``.

    Raises LocalProtocolError for a password that is too long, OSError if the kernel lacks the
    feature. Neither error contains the password.
    """
    key = password.encode()
    if len(key) > MAX_PASSWORD:
        raise LocalProtocolError(f"password takes {len(key)} bytes, want up to {MAX_PASSWORD}")
    _set_key(sock, peer, key)


def forget_key(sock: socket.socket, peer: IPAddress) -> None:
    """Stop signing segments to this peer. Raises OSError if it had no key."""
    _set_key(sock, peer, b"")


def _set_key(sock: socket.socket, peer: IPAddress, key: bytes) -> None:
    if peer.version == 4:
        address = _SOCKADDR_V4.pack(socket.AF_INET, 0, peer.packed)
    else:
        address = _SOCKADDR_V6.pack(socket.AF_INET6, 0, 0, peer.packed, 0)
    option = _MD5SIG.pack(address, 0, 0, len(key), 0, key)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, option)
