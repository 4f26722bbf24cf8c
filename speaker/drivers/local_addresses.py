"""What the kernel knows of this host's addresses, as far as BGP asks."""

from __future__ import annotations

import fcntl
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from struct import Struct

_IPV6_TABLE = Path("/proc/net/if_inet6")
_SIOCGIFADDR = 0x8915
_IFREQ = Struct("16sHH4s16x")  # name, family, port, address


def ipv4_beside(address: IPv6Address) -> IPv4Address | None:
    """Return the first IPv4 address of the interface that holds this IPv6 address, if any."""
    interface = _interface_of(address)
    if interface is None:
        return None
    request = _IFREQ.pack(interface.encode(), socket.AF_INET, 0, bytes(4))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFADDR, request)
        except OSError:  # EADDRNOTAVAIL: the interface has none
            return None
    return IPv4Address(_IFREQ.unpack(answer)[3])


def _interface_of(address: IPv6Address) -> str | None:
    """Each line of the kernel's table begins with the address and ends with the name."""
    rows = (line.split() for line in _IPV6_TABLE.read_text().splitlines())
    wanted = address.packed.hex()
    return next((row[-1] for row in rows if row[0] == wanted), None)
