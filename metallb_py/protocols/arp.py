"""The Address Resolution Protocol for IPv4 on Ethernet (RFC 826, RFC 5227)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from struct import Struct

from metallb_py.protocols.byte_reader import Malformation, MalformedError
from metallb_py.protocols.ethernet import BROADCAST, EthernetFrame, EtherType, MacAddress

UNSPECIFIED = IPv4Address(0)
"""Sender protocol address of an ARP probe (RFC 5227 section 2.1.1)."""

# Hardware type 1 (Ethernet), protocol type IPv4, and the lengths of their addresses in bytes.
_ETHERNET_IPV4 = b"\x00\x01\x08\x00\x06\x04"
_LAYOUT = Struct("!6sH6s4s6s4s")


class Operation(IntEnum):
    """ARP opcodes (RFC 826; values in RFC 5494 section 3)."""

    REQUEST = 1
    REPLY = 2


class ArpError(MalformedError):
    """The bytes are not an ARP packet for IPv4 on Ethernet."""


@dataclass(frozen=True, slots=True)
class ArpPacket:
    """An ARP packet for IPv4 on Ethernet (field names as in RFC 826)."""

    operation: int
    """The opcode, possibly one that ``Operation`` does not name."""
    sender_mac: MacAddress
    """Sender hardware address."""
    sender_ip: IPv4Address
    """Sender protocol address; ``UNSPECIFIED`` in a probe."""
    target_mac: MacAddress
    """Target hardware address."""
    target_ip: IPv4Address
    """Target protocol address."""


def encode(packet: ArpPacket) -> bytes:
    """Return the packet's 28 bytes."""
    return _LAYOUT.pack(
        _ETHERNET_IPV4,
        packet.operation,
        packet.sender_mac,
        packet.sender_ip.packed,
        packet.target_mac,
        packet.target_ip.packed,
    )


def decode(data: bytes) -> ArpPacket:
    """Decode a packet; bytes after it are padding. Raises ArpError and nothing else."""
    if len(data) < _LAYOUT.size:
        raise ArpError(
            f"arp packet ends early: found {len(data)} bytes, want {_LAYOUT.size}",
            Malformation.TRUNCATED,
        )
    kinds, operation, sender_mac, sender_ip, target_mac, target_ip = _LAYOUT.unpack_from(data)
    if kinds != _ETHERNET_IPV4:
        raise ArpError(
            f"arp address kinds: found {kinds.hex()}, want {_ETHERNET_IPV4.hex()} (IPv4, Ethernet)",
            Malformation.ADDRESS_KINDS,
        )
    return ArpPacket(
        operation,
        MacAddress(sender_mac),
        IPv4Address(sender_ip),
        MacAddress(target_mac),
        IPv4Address(target_ip),
    )


def reply(
    mac: MacAddress, address: IPv4Address, to_mac: MacAddress, to: IPv4Address
) -> EthernetFrame:
    """Return an ARP reply to one host that maps the address to the MAC.

    It may answer a request of that host or be unsolicited.
    """
    packet = ArpPacket(Operation.REPLY, mac, address, to_mac, to)
    return EthernetFrame(to_mac, mac, EtherType.ARP, encode(packet))


def announcement(mac: MacAddress, address: IPv4Address, operation: Operation) -> EthernetFrame:
    """Return a broadcast gratuitous ARP that maps the address to the MAC: a request or a reply.

    Hosts differ in which of the two forms updates their ARP cache (RFC 5227 section 3 specifies
    the request; RFC 2002 section 4.6 allows both), so MetalLB sends both. As in MetalLB, the
    target hardware address is the broadcast address.
    """
    packet = ArpPacket(operation, mac, address, BROADCAST, address)
    return EthernetFrame(BROADCAST, mac, EtherType.ARP, encode(packet))


def probe(mac: MacAddress, address: IPv4Address) -> EthernetFrame:
    """Return an ARP probe: it asks whether another host has the address (RFC 5227 2.1.1)."""
    packet = ArpPacket(Operation.REQUEST, mac, UNSPECIFIED, MacAddress(bytes(6)), address)
    return EthernetFrame(BROADCAST, mac, EtherType.ARP, encode(packet))
