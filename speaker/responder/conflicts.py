"""Frames in which somebody else says that an address is his.

By fixed offsets, like the usual questions in ``answer``: whoever claims one of our addresses does
it in the usual form, or is not understood by anybody.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from metallb_py.protocols.ethernet import MacAddress

_ARP = bytes.fromhex("0806 0001 0800 06 04")  # from offset 12: EtherType, and the kinds of RFC 826
_REPLY = b"\0\2"
_IPV6 = b"\x86\xdd"
_ICMPV6_FROM_NEIGHBOR = b"\x3a\xff"  # next header and hop limit (RFC 4861 section 7.1.2)
_ADVERTISEMENT = 136
_TARGET_LINK_LAYER = b"\2\1"
_GROUP_BIT = 1


class Claim(NamedTuple):
    """A packed address, and the MAC address where it is said to be."""

    address: bytes
    mac: MacAddress


def arp_claim(frame: bytes, owned: Container[bytes]) -> Claim | None:
    """Return what a frame claims of an owned address: a reply, or an announcement.

    RFC 5227 section 2.4: a packet whose sender address is ours is a conflict.
    """
    address = frame[28:32]
    if frame[12:20] != _ARP or address not in owned:
        return None
    if frame[20:22] != _REPLY and frame[38:42] != address:
        return None
    return _claim(address, frame[22:28])


def ndp_claim(frame: bytes, owned: Container[bytes]) -> Claim | None:
    """Return what a neighbor advertisement claims of an owned address."""
    address = frame[62:78]
    if frame[12:14] != _IPV6 or frame[20:22] != _ICMPV6_FROM_NEIGHBOR or address not in owned:
        return None
    if frame[54] != _ADVERTISEMENT:
        return None
    mac = frame[80:86] if frame[78:80] == _TARGET_LINK_LAYER else frame[6:12]
    return _claim(address, mac)


def _claim(address: bytes, mac: bytes) -> Claim | None:
    usable = len(mac) == len(MacAddress(bytes(6))) and any(mac) and not mac[0] & _GROUP_BIT
    return Claim(address, MacAddress(mac)) if usable else None
