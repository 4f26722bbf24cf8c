"""Addresses that no host, router or Service can have; a leaf for pools, peers and next hops."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from metallb_py.addresses import IPAddress, IPNetwork

# RFC 6890 and RFC 4291: addresses that are never the destination of a unicast packet from another
# host. 169.254.0.0/16 and 240.0.0.0/4 are left out, because Linux and most routers forward them.
_THIS_NETWORK = (IPv4Network("0.0.0.0/8"), '"this network" (RFC 791)')
_NOWHERE: tuple[tuple[IPNetwork, str], ...] = (
    _THIS_NETWORK,
    (IPv4Network("127.0.0.0/8"), "loopback"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("255.255.255.255/32"), "broadcast"),
    (IPv6Network("::/128"), "unspecified"),
    (IPv6Network("::1/128"), "loopback"),
    (IPv6Network("ff00::/8"), "multicast"),
)
_LINK_LOCAL = (IPv6Network("fe80::/10"), "link-local, which no router forwards")
_BROADCAST = 0xFFFF_FFFF


def unusable_as_host(address: IPAddress) -> str:
    """Return the reason why no host can have an address; empty if one can, as for loopback."""
    if address.is_unspecified:
        return "unspecified"
    if address.is_multicast:
        return "multicast"
    if address in _THIS_NETWORK[0]:
        return _THIS_NETWORK[1]
    return "broadcast" if address.version == 4 and int(address) == _BROADCAST else ""


def unusable_part(cidr: IPNetwork, *, routed: bool) -> tuple[IPNetwork, str] | None:
    """Return the first unusable block that overlaps a prefix, and the reason; None without one.

    ``routed`` is set for the prefixes of BGP pools, which may not be link-local.
    """
    return next(((net, why) for net, why in _blocks(routed) if _overlap(cidr, net)), None)


def _blocks(routed: bool) -> Iterable[tuple[IPNetwork, str]]:
    return (*_NOWHERE, _LINK_LOCAL) if routed else _NOWHERE


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    if one.version != other.version:
        return False
    bits = one.max_prefixlen - min(one.prefixlen, other.prefixlen)
    return int(one.network_address) >> bits == int(other.network_address) >> bits
