"""IPv6 neighbor discovery: the address resolution part (RFC 4861 sections 4.3, 4.4, 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from struct import Struct

from metallb_py.protocols.byte_reader import Malformation, MalformedError
from metallb_py.protocols.ethernet import EthernetFrame, EtherType, MacAddress

ALL_NODES = IPv6Address("ff02::1")
ALL_ROUTERS = IPv6Address("ff02::2")
UNSPECIFIED = IPv6Address(0)
"""Source of a solicitation for duplicate address detection (RFC 4862 section 5.4.2)."""

HOP_LIMIT = 255  # no router has forwarded the packet: it is from this link (RFC 4861 section 7.1)
ICMPV6 = 58
SOLICITATION = 135
ADVERTISEMENT = 136

_IPV6 = Struct("!IHBB16s16s")  # version, class and flow; length; next header; hop limit; addresses
_MESSAGE = Struct("!BBHI16s")  # type, code, checksum, flags or reserved, target
_VERSION = 6 << 28
_VERSION_BITS = 0xF << 28
_SOLICITED_NODE = IPv6Address("ff02::1:ff00:0").packed[:13]
_SOURCE_LINK_LAYER = 1
_TARGET_LINK_LAYER = 2
_OPTION_UNIT = 8
_ROUTER, _SOLICITED, _OVERRIDE = 1 << 31, 1 << 30, 1 << 29


class NdpError(MalformedError):
    """The bytes are not an IPv6 packet, or are a neighbor solicitation that must be discarded."""


@dataclass(frozen=True, slots=True)
class Solicitation:
    """A neighbor solicitation.

    ``source_mac`` is the value of the Source Link-Layer Address option, None without the option.
    """

    source: IPv6Address
    destination: IPv6Address
    target: IPv6Address
    source_mac: MacAddress | None = None


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A neighbor advertisement (RFC 4861 section 4.4).

    Its source address is the target, since the owner of an address sends it.
    """

    destination: IPv6Address
    """The solicitation's source, or a multicast group."""
    target: IPv6Address
    """The advertised address."""
    target_mac: MacAddress
    """Value of the Target Link-Layer Address option."""
    router: bool = False
    """The R flag: the sender is a router."""
    solicited: bool = False
    """The S flag: the advertisement answers a solicitation."""
    override: bool = False
    """The O flag: the receiver replaces an existing cache entry."""


def encode_advertisement(advertisement: Advertisement) -> bytes:
    """Return the IPv6 packet."""
    flags = (
        advertisement.router * _ROUTER
        | advertisement.solicited * _SOLICITED
        | advertisement.override * _OVERRIDE
    )
    return _encode(
        advertisement.target.packed,
        advertisement.destination.packed,
        _MESSAGE.pack(ADVERTISEMENT, 0, 0, flags, advertisement.target.packed)
        + bytes((_TARGET_LINK_LAYER, 1))
        + advertisement.target_mac,
    )


def encode_solicitation(solicitation: Solicitation) -> bytes:
    """Return the IPv6 packet."""
    option = b""
    if solicitation.source_mac is not None:
        option = bytes((_SOURCE_LINK_LAYER, 1)) + solicitation.source_mac
    message = _MESSAGE.pack(SOLICITATION, 0, 0, 0, solicitation.target.packed) + option
    return _encode(solicitation.source.packed, solicitation.destination.packed, message)


def decode_solicitation(data: bytes) -> Solicitation | None:
    """Decode an IPv6 packet; return None where it is not a neighbor solicitation.

    Raises NdpError, and nothing else, for a solicitation that must be discarded (RFC 4861 section
    7.1.1) and for bytes that are not an IPv6 packet. Bytes after the packet are padding.
    """
    if len(data) < _IPV6.size:
        raise NdpError(
            f"ipv6 header ends early: found {len(data)} bytes, want {_IPV6.size}",
            Malformation.TRUNCATED,
        )
    first, length, next_header, hop_limit, source, destination = _IPV6.unpack_from(data)
    if first & _VERSION_BITS != _VERSION:
        raise NdpError(f"ip version: found {first >> 28}, want 6")
    message = data[_IPV6.size : _IPV6.size + length]
    if len(message) < length:
        raise NdpError(
            f"ipv6 packet ends early: found {len(message)} bytes, want {length}",
            Malformation.TRUNCATED,
        )
    if next_header != ICMPV6 or not message or message[0] != SOLICITATION:
        return None
    if hop_limit != HOP_LIMIT:
        raise NdpError(f"hop limit: found {hop_limit}, want {HOP_LIMIT}", Malformation.HOP_LIMIT)
    if _sum(source, destination, message):
        raise NdpError(
            f"checksum: found {message[2:4].hex()}, which does not match", Malformation.CHECKSUM
        )
    return _solicitation(IPv6Address(source), IPv6Address(destination), message)


def unsolicited(mac: MacAddress, address: IPv6Address) -> EthernetFrame:
    """Return an unsolicited neighbor advertisement to all nodes (RFC 4861 section 7.2.6).

    The Override flag is set, so that neighbors replace their cache entries for the address.
    """
    advertisement = Advertisement(ALL_NODES, address, mac, override=True)
    packet = encode_advertisement(advertisement)
    return EthernetFrame(multicast_mac(ALL_NODES), mac, EtherType.IPV6, packet)


def unsolicited_to_routers(mac: MacAddress, address: IPv6Address) -> EthernetFrame:
    """Return an unsolicited neighbor advertisement to all routers, for an address new on the link.

    RFC 9131, which changes RFC 4861 section 7.2.6: routers create a cache entry before the first
    packet for the address arrives. The Override flag is clear, so that existing entries are kept.
    """
    packet = encode_advertisement(Advertisement(ALL_ROUTERS, address, mac))
    return EthernetFrame(multicast_mac(ALL_ROUTERS), mac, EtherType.IPV6, packet)


def probe(mac: MacAddress, address: IPv6Address) -> EthernetFrame:
    """Return a duplicate address detection probe for the address (RFC 4862 section 5.4.2)."""
    group = solicited_node(address)
    packet = encode_solicitation(Solicitation(UNSPECIFIED, group, address, None))
    return EthernetFrame(multicast_mac(group), mac, EtherType.IPV6, packet)


def solicited_node(address: IPv6Address) -> IPv6Address:
    """Return the solicited-node group of an address (RFC 4291 section 2.7.1)."""
    return IPv6Address(solicited_group(address.packed))


def solicited_group(address: bytes) -> bytes:
    """Return the solicited-node group of a packed address, packed."""
    return _SOLICITED_NODE + address[13:]


def multicast_mac(group: IPv6Address) -> MacAddress:
    """Return the MAC address of a multicast group (RFC 2464 section 7)."""
    return MacAddress(b"\x33\x33" + group.packed[12:])


def _solicitation(source: IPv6Address, destination: IPv6Address, message: bytes) -> Solicitation:
    if len(message) < _MESSAGE.size:
        raise NdpError(
            f"solicitation: found {len(message)} bytes, want {_MESSAGE.size} or more",
            Malformation.TRUNCATED,
        )
    _, code, _, _, packed_target = _MESSAGE.unpack_from(message)
    if code:
        raise NdpError(f"solicitation code: found {code}, want 0")
    target = IPv6Address(packed_target)
    if target.is_multicast:
        raise NdpError(f"solicitation target: found the group {target}, want a unicast address")
    source_mac = None
    for kind, value in _options(message[_MESSAGE.size :]):
        if kind == _SOURCE_LINK_LAYER and len(value) == len(MacAddress(bytes(6))):
            source_mac = MacAddress(value)
    if source == UNSPECIFIED and (source_mac or destination != solicited_node(target)):
        raise NdpError(
            f"solicitation without a source address: found destination {destination} and link-layer"
            f" address {source_mac!r}, want {solicited_node(target)} and none"
        )
    return Solicitation(source, destination, target, source_mac)


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        kind, units = (*data[position : position + 2], 0)[:2]
        if not units or position + units * _OPTION_UNIT > len(data):
            raise NdpError(f"option length: found {units}, with {len(data) - position} bytes left")
        yield kind, data[position + 2 : position + units * _OPTION_UNIT]
        position += units * _OPTION_UNIT


def _encode(source: bytes, destination: bytes, message: bytes) -> bytes:
    checksum = 0xFFFF - _sum(source, destination, message)
    header = _IPV6.pack(_VERSION, len(message), ICMPV6, HOP_LIMIT, source, destination)
    return b"".join((header, message[:2], checksum.to_bytes(2), message[4:]))


def _sum(source: bytes, destination: bytes, message: bytes) -> int:
    """Return the ones' complement sum over the pseudo-header and message (RFC 8200 section 8.1).

    The sum of 16-bit numbers with end-around carry is the remainder modulo 0xFFFF (RFC 1071
    section 2), which equals that of all bytes taken as one number.
    """
    padding = b"\0" * (len(message) % 2)
    pseudo = source + destination + len(message).to_bytes(4) + ICMPV6.to_bytes(4)
    return int.from_bytes(pseudo + message + padding) % 0xFFFF
