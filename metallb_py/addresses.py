"""Addresses, prefixes and ranges, in the text forms that MetalLB accepts.

MetalLB is written in Go, so the forms are those of Go's ``net.ParseIP`` and ``net.ParseCIDR``
(1.16, the release that MetalLB 0.12 is built with): an IPv4 octet with leading zeros is decimal,
the host bits of a prefix are cleared, dotted masks and zones are rejected, and an IPv4-mapped IPv6
address is an IPv4 address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import netaddr

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_LEADING_ZEROS = re.compile(r"(?<![0-9A-Fa-f])0+(?=[0-9A-Fa-f])", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,3}", re.ASCII)
_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4-mapped addresses (RFC 4291 section 2.5.5.2)


class AddressFamily(IntEnum):
    """An address family; the value is its number in BGP (AFI, RFC 4760)."""

    IPV4 = 1
    IPV6 = 2

    @classmethod
    def of(cls, address: IPAddress | IPNetwork) -> AddressFamily:
        """Return the family of an address or a prefix."""
        return cls.IPV4 if address.version == 4 else cls.IPV6

    @property
    def version(self) -> int:
        """IP version: 4 or 6."""
        return 4 if self is AddressFamily.IPV4 else 6

    @property
    def label(self) -> str:
        """``ipv4`` or ``ipv6``, as in the configuration, the log and the metrics."""
        return f"ipv{self.version}"


def parse_address(text: str) -> IPAddress:
    """Parse an address. Raises ValueError with what was found and what was wanted."""
    address = _read(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _read(text: str) -> IPAddress:
    """Parse an address, without the conversion of an IPv4-mapped IPv6 address."""
    digits = _LEADING_ZEROS.sub("", text)
    try:
        if ":" not in text:
            return IPv4Address(digits)
        if "%" not in text:
            return IPv6Address(digits)
    except ValueError:
        pass
    raise ValueError(f'"{text}": want an IPv4 or IPv6 address')


def parse_cidr(text: str) -> IPNetwork:
    """Parse ``address/length`` and clear the host bits. Raises ValueError."""
    host, slash, length = text.partition("/")
    if not slash:
        raise ValueError(f'"{text}": want an address, "/" and a prefix length')
    address = _read(host)
    digits = length.lstrip("0") or length[:1]
    if not _LENGTH.fullmatch(digits) or int(digits) > address.max_prefixlen:
        raise ValueError(f'"{text}": want a prefix length up to {address.max_prefixlen}')
    network = ip_network((address, int(digits)), strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) - int(_MAPPED.network_address)
        return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))
    return network


def parse_range(text: str) -> tuple[IPNetwork, ...]:
    """Parse ``first-last`` into the fewest prefixes that cover it, lowest first.

    Raises ValueError in MetalLB's words. Two ends of different families are an error; MetalLB
    treats such a range as empty.
    """
    first_text, _, last_text = (part.strip() for part in text.partition("-"))
    first = _end_of_range(text, "start", first_text)
    last = _end_of_range(text, "end", last_text)
    if first.version != last.version:
        raise ValueError(
            f'invalid IP range "{text}": start IP "{first_text}" and end IP "{last_text}" are of '
            "different families: want both of one"
        )
    if int(first) > int(last):
        raise ValueError(
            f'invalid IP range "{text}": start IP "{first_text}" is after the end IP '
            f'"{last_text}": want the lower one first'
        )
    network = IPv4Network if isinstance(first, IPv4Address) else IPv6Network
    cidrs = netaddr.iprange_to_cidrs(str(first), str(last))
    return tuple(network((cidr.first, cidr.prefixlen)) for cidr in cidrs)


def _end_of_range(text: str, which: str, end: str) -> IPAddress:
    try:
        return parse_address(end)
    except ValueError as error:
        raise ValueError(
            f'invalid IP range "{text}": invalid {which} IP "{end}": want two addresses without a '
            'prefix length or zone, as in "10.0.0.1-10.0.0.9"'
        ) from error


def join_host_port(host: IPAddress | str, port: int | str) -> str:
    """Return ``10.0.0.1:179`` or ``[fd00::1]:179``, as Go's ``net.JoinHostPort``."""
    text = str(host)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def families_of(addresses: Sequence[IPAddress]) -> tuple[AddressFamily, ...]:
    """Return the families of a service's one address, or of its one address of each family.

    Raises ValueError in MetalLB's words for any other number or combination of addresses.
    """
    families = tuple(map(AddressFamily.of, addresses))
    if len(families) == 1:
        return families
    if len(families) != 2:
        raise ValueError(
            f"IPFamilyForAddresses: invalid ips length {len(addresses)} {go_quote_list(addresses)}"
        )
    if families[0] is families[1]:
        raise ValueError(f"IPFamilyForAddresses: same address family {go_quote_list(addresses)}")
    return families


def go_quote_list(addresses: Iterable[IPAddress]) -> str:
    """Format a list like Go's ``%q``, as in MetalLB's logs and Events: ``["192.0.2.1"]``."""
    return "[" + " ".join(f'"{address}"' for address in addresses) + "]"
