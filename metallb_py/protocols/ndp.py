"""IPv6 neighbor discovery, as far as it resolves addresses (RFC 4861 sections 4.3, 4.4, 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from struct import Struct

from metallb_py.protocols.byte_reader import Flaw, FlawedError
from metallb_py.protocols.ethernet import EthernetFrame, EtherType, MacAddress

ALL_NODES = IPv6Address("ff02::1")
ALL_ROUTERS = IPv6Address("ff02::2")
UNSPECIFIED = IPv6Address(0)
"""The source of a solicitation that looks for a duplicate address (RFC 4862 section 5.4.2)."""

HOP_LIMIT = 255  # nobody further away than the link can have sent it (RFC 4861 section 7.1)
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


class NdpError(FlawedError):
    """These bytes are no IPv6 packet, or a neighbor solicitation that must be discarded."""


@dataclass(frozen=True, slots=True)
class Solicitation:
    """A neighbor solicitation. ``source_mac`` is None where its sender did not tell its own."""

    source: IPv6Address
    destination: IPv6Address
    target: IPv6Address
    source_mac: MacAddress | None = None


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A neighbor advertisement. Its source is the target: who owns an address speaks for it."""

    destination: IPv6Address
    target: IPv6Address
    target_mac: MacAddress
    router: bool = False
    solicited: bool = False
    override: bool = False


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
    """Read an IPv6 packet. Returns None where it is something else than a solicitation.

    Raises NdpError, and only that, where it is one that must be discarded (RFC 4861 section
    7.1.1), or no IPv6 packet. What follows the packet is padding.
    """
    if len(data) < _IPV6.size:
        raise NdpError(
            f"ipv6 header ends early: found {len(data)} bytes, want {_IPV6.size}", Flaw.TRUNCATED
        )
    first, length, next_header, hop_limit, source, destination = _IPV6.unpack_from(data)
    if first & _VERSION_BITS != _VERSION:
        raise NdpError(f"ip version: found {first >> 28}, want 6")
    message = data[_IPV6.size : _IPV6.size + length]
    if len(message) < length:
        raise NdpError(
            f"ipv6 packet ends early: found {len(message)} bytes, want {length}", Flaw.TRUNCATED
        )
    if next_header != ICMPV6 or not message or message[0] != SOLICITATION:
        return None
    if hop_limit != HOP_LIMIT:
        raise NdpError(f"hop limit: found {hop_limit}, want {HOP_LIMIT}", Flaw.HOP_LIMIT)
    if _sum(source, destination, message):
        raise NdpError(f"checksum: found {message[2:4].hex()}, which does not match", Flaw.CHECKSUM)
    return _solicitation(IPv6Address(source), IPv6Address(destination), message)


def unsolicited(mac: MacAddress, address: IPv6Address) -> EthernetFrame:
    """Return the frame that tells every neighbor: "this address is at this MAC now".

    RFC 4861 section 7.2.6: to all nodes, not solicited; it overrides what they believe.
    """
    advertisement = Advertisement(ALL_NODES, address, mac, override=True)
    packet = encode_advertisement(advertisement)
    return EthernetFrame(multicast_mac(ALL_NODES), mac, EtherType.IPV6, packet)


def introduction(mac: MacAddress, address: IPv6Address) -> EthernetFrame:
    """Return the frame that tells the routers of an address that is new here.

    RFC 9131, which changes RFC 4861 section 7.2.6: to all routers, so that they know the address
    before the first packet for it comes. It does not override what they believe.
    """
    packet = encode_advertisement(Advertisement(ALL_ROUTERS, address, mac))
    return EthernetFrame(multicast_mac(ALL_ROUTERS), mac, EtherType.IPV6, packet)


def probe(mac: MacAddress, address: IPv6Address) -> EthernetFrame:
    """Return the question whether somebody else has the address (RFC 4862 section 5.4.2)."""
    group = solicited_node(address)
    packet = encode_solicitation(Solicitation(UNSPECIFIED, group, address, None))
    return EthernetFrame(multicast_mac(group), mac, EtherType.IPV6, packet)


def solicited_node(address: IPv6Address) -> IPv6Address:
    """Return the group that an address is asked for in (RFC 4291 section 2.7.1)."""
    return IPv6Address(solicited_group(address.packed))


def solicited_group(address: bytes) -> bytes:
    """Return the same for a packed address, packed."""
    return _SOLICITED_NODE + address[13:]


def multicast_mac(group: IPv6Address) -> MacAddress:
    """Return the MAC address of a multicast group (RFC 2464 section 7)."""
    return MacAddress(b"\x33\x33" + group.packed[12:])


def _solicitation(source: IPv6Address, destination: IPv6Address, message: bytes) -> Solicitation:
    if len(message) < _MESSAGE.size:
        raise NdpError(
            f"solicitation: found {len(message)} bytes, want {_MESSAGE.size} or more",
            Flaw.TRUNCATED,
        )
    _, code, _, _, packed_target = _MESSAGE.unpack_from(message)
    if code:
        raise NdpError(f"solicitation code: found {code}, want 0")
    target = IPv6Address(packed_target)
    if target.is_multicast:
        raise NdpError(f"solicitation target: found the group {target}")
    source_mac = None
    for kind, value in _options(message[_MESSAGE.size :]):
        if kind == _SOURCE_LINK_LAYER and len(value) == len(MacAddress(bytes(6))):
            source_mac = MacAddress(value)
    if source == UNSPECIFIED and (source_mac or destination != solicited_node(target)):
        raise NdpError(f"solicitation without a source, to {destination}, with MAC {source_mac!r}")
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

    The sum of 16-bit numbers with end-around carry is the remainder by 0xFFFF (RFC 1071 section
    2), and so is that of the whole taken as one number.
    """
    padding = b"\0" * (len(message) % 2)
    pseudo = source + destination + len(message).to_bytes(4) + ICMPV6.to_bytes(4)
    return int.from_bytes(pseudo + message + padding) % 0xFFFF
