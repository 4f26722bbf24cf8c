"""What the kernel knows of this host's addresses, as far as BGP asks."""

from __future__ import annotations

import array
import fcntl
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from struct import Struct

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bgp.next_hops import LocalAddresses

_IPV6_TABLE = Path("/proc/net/if_inet6")
_GLOBAL_SCOPE, _LINK_SCOPE = 0x00, 0x20
_UNFIT = 0x01 | 0x08 | 0x20 | 0x40
"""Flags of addresses that others should not be told of: temporary, duplicate, deprecated or
tentative (IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE)."""

_SIOCGIFADDR, _SIOCGIFCONF = 0x8915, 0x8912
_IFREQ = Struct("16sHH4s16x")  # name, family, port, address
_IFCONF = Struct("iP")  # length and address of a table of the above
_MOST_ADDRESSES = 1024


def addresses_beside(own: IPAddress, interface: str | None = None) -> LocalAddresses:
    """Return what the interface that holds this address has besides it, in each family the first.

    ``interface`` tells which one is meant where several have the same link-local address.
    """
    name = interface or _interface_of(own)
    if name is None:
        return LocalAddresses(own)
    if isinstance(own, IPv4Address):
        return LocalAddresses(own, ipv6=_first_ipv6(name))
    return LocalAddresses(own, _first_ipv4(name), _first_ipv6(name) if own.is_link_local else None)


def link_local_address(interface: str) -> IPv6Address | None:
    """Return the address that an interface has by itself, once the kernel knows it as its own."""
    return _first_ipv6(interface, _LINK_SCOPE)


def _first_ipv4(interface: str) -> IPv4Address | None:
    request = _IFREQ.pack(interface.encode(), socket.AF_INET, 0, bytes(4))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFADDR, request)
        except OSError:  # EADDRNOTAVAIL: the interface has none
            return None
    return IPv4Address(_IFREQ.unpack(answer)[3])


def _first_ipv6(interface: str, wanted: int = _GLOBAL_SCOPE) -> IPv6Address | None:
    for address, _, _, scope, flags, name in _ipv6_rows():
        if name == interface and int(scope, 16) == wanted and not int(flags, 16) & _UNFIT:
            return IPv6Address(bytes.fromhex(address))
    return None


def _interface_of(address: IPAddress) -> str | None:
    if isinstance(address, IPv6Address):
        wanted = address.packed.hex()
        return next((row[-1] for row in _ipv6_rows() if row[0] == wanted), None)
    return next((name for name, holds in _ipv4_rows() if holds == address.packed), None)


def _ipv6_rows() -> list[list[str]]:
    """Address, interface's index, prefix length, scope, flags (all in hex) and interface's name."""
    return [line.split() for line in _IPV6_TABLE.read_text().splitlines()]


def _ipv4_rows() -> list[tuple[str, bytes]]:
    """Name of the interface, without that of an alias, and address."""
    table = array.array("B", bytes(_IFREQ.size * _MOST_ADDRESSES))
    where, _ = table.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFCONF, _IFCONF.pack(len(table), where))
    length, _ = _IFCONF.unpack(answer)
    rows = _IFREQ.iter_unpack(table.tobytes()[:length])
    return [(row[0].rstrip(b"\0").decode().partition(":")[0], row[3]) for row in rows]
