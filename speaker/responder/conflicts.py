"""Detection of address conflicts in ARP and neighbor advertisements (RFC 5227 section 2.4).

By fixed offsets, like the fast path in ``answer``: a host that uses one of our addresses sends
frames in the usual form, or no other host could interpret them. Short: it serves both protocols.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from metallb_py.protocols.ethernet import MacAddress

# From offset 12: EtherType, then the address types and lengths of RFC 826.
_ARP = bytes.fromhex("0806 0001 0800 06 04")
_REPLY = b"\0\2"
_IPV6 = b"\x86\xdd"
_ICMPV6_FROM_NEIGHBOR = b"\x3a\xff"  # next header and hop limit (RFC 4861 section 7.1.2)
_ADVERTISEMENT = 136
_TARGET_LINK_LAYER = b"\2\1"
_GROUP_BIT = 1


class ConflictingFrame(NamedTuple):
    """A packed address of ours, and the MAC address that another host announces for it."""

    address: bytes
    mac: MacAddress


def arp_conflict(frame: bytes, owned: Container[bytes]) -> ConflictingFrame | None:
    """Return the conflict in an ARP reply or announcement with an owned sender address, if any.

    RFC 5227 section 2.4: a packet whose sender address is ours is a conflict.
    """
    address = frame[28:32]
    if frame[12:20] != _ARP or address not in owned:
        return None
    if frame[20:22] != _REPLY and frame[38:42] != address:
        return None
    return _conflict(address, frame[22:28])


def ndp_conflict(frame: bytes, owned: Container[bytes]) -> ConflictingFrame | None:
    """Return the conflict in a neighbor advertisement for an owned address, if any."""
    address = frame[62:78]
    if frame[12:14] != _IPV6 or frame[20:22] != _ICMPV6_FROM_NEIGHBOR or address not in owned:
        return None
    if frame[54] != _ADVERTISEMENT:
        return None
    mac = frame[80:86] if frame[78:80] == _TARGET_LINK_LAYER else frame[6:12]
    return _conflict(address, mac)


def _conflict(address: bytes, mac: bytes) -> ConflictingFrame | None:
    usable = len(mac) == len(MacAddress(bytes(6))) and any(mac) and not mac[0] & _GROUP_BIT
    return ConflictingFrame(address, MacAddress(mac)) if usable else None
