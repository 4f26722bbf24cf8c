"""Addresses, prefixes and ranges, with the text forms that MetalLB accepts."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Family(Enum):
    """An address family, or the pair of them that a dual-stack service has."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"
