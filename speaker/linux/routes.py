"""Routing state of the kernel: whether an address is on-link, and whether packets are forwarded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Final

from metallb_py.addresses import IPAddress, IPNetwork

_IPV4_ROUTES: Final = Path("/proc/thread-self/net/route")
_IPV6_ROUTES: Final = Path("/proc/thread-self/net/ipv6_route")
_FORWARDING: Final = {
    4: Path("/proc/sys/net/ipv4/ip_forward"),
    6: Path("/proc/sys/net/ipv6/conf/all/forwarding"),
}
_GATEWAY: Final = 0x0002
_REJECT: Final = 0x0200


@dataclass(frozen=True, slots=True)
class _Route:
    network: IPNetwork
    metric: int
    flags: int


def is_neighbor(address: IPAddress) -> bool:
    """Whether the address is on-link: the kernel would send to it without a gateway."""
    routes = _ipv4_routes() if address.version == 4 else _ipv6_routes()
    matching = [route for route in routes if address in route.network]
    if not matching:
        return False
    best = max(matching, key=lambda route: (route.network.prefixlen, -route.metric))
    return not best.flags & (_GATEWAY | _REJECT)


def forwards(version: int) -> bool:
    """Whether the kernel forwards packets of this IP version, as on a Kubernetes node."""
    return _FORWARDING[version].read_text().strip() != "0"


def _ipv4_routes() -> Iterator[_Route]:
    for line in _IPV4_ROUTES.read_text().splitlines()[1:]:
        _, destination, _, flags, _, _, metric, mask, *_ = line.split()
        network = f"{_ipv4(destination)}/{_ipv4(mask)}"
        yield _Route(IPv4Network(network), int(metric), int(flags, 16))


def _ipv4(text: str) -> IPv4Address:
    """Parse an address that the kernel prints as a number in the machine's byte order."""
    return IPv4Address(int(text, 16).to_bytes(4, sys.byteorder))


def _ipv6_routes() -> Iterator[_Route]:
    for line in _IPV6_ROUTES.read_text().splitlines():
        destination, length, _, _, _, metric, _, _, flags, _ = line.split()
        network = f"{ip_address(bytes.fromhex(destination))}/{int(length, 16)}"
        yield _Route(IPv6Network(network), int(metric, 16), int(flags, 16))
