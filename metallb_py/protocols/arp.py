"""The Address Resolution Protocol for IPv4 on Ethernet (RFC 826, RFC 5227)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from struct import Struct

from metallb_py.protocols.byte_reader import Flaw, FlawedError
from metallb_py.protocols.ethernet import BROADCAST, EthernetFrame, EtherType, MacAddress

UNSPECIFIED = IPv4Address(0)
"""The sender address of a probe: its sender has no address yet (RFC 5227 section 2.1.1)."""

# Hardware type 1 (Ethernet), protocol type IPv4, and the lengths of their addresses.
_ETHERNET_IPV4 = b"\x00\x01\x08\x00\x06\x04"
_LAYOUT = Struct("!6sH6s4s6s4s")


class Operation(IntEnum):
    """What a packet wants (RFC 826, opcode values in RFC 5494 section 3)."""

    REQUEST = 1
    REPLY = 2


class ArpError(FlawedError):
    """These bytes are no ARP packet for IPv4 on Ethernet."""


@dataclass(frozen=True, slots=True)
class ArpPacket:
    """An ARP packet. ``operation`` may be a number that has no name here."""

    operation: int
    sender_mac: MacAddress
    sender_ip: IPv4Address
    target_mac: MacAddress
    target_ip: IPv4Address


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
    """Read a packet; what follows it is padding. Raises ArpError, and only that."""
    if len(data) < _LAYOUT.size:
        raise ArpError(
            f"arp packet ends early: found {len(data)} bytes, want {_LAYOUT.size}", Flaw.TRUNCATED
        )
    kinds, operation, sender_mac, sender_ip, target_mac, target_ip = _LAYOUT.unpack_from(data)
    if kinds != _ETHERNET_IPV4:
        raise ArpError(
            f"arp address kinds: found {kinds.hex()}, want {_ETHERNET_IPV4.hex()} (IPv4, Ethernet)",
            Flaw.ADDRESS_KINDS,
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
    """Return the frame that tells one host: "this address is at this MAC", asked for or not."""
    packet = ArpPacket(Operation.REPLY, mac, address, to_mac, to)
    return EthernetFrame(to_mac, mac, EtherType.ARP, encode(packet))


def announcement(mac: MacAddress, address: IPv4Address, operation: Operation) -> EthernetFrame:
    """Return a gratuitous broadcast: "this address is at this MAC", in either of its two forms.

    Stations differ in which form they believe (RFC 5227 section 3 names the request; RFC 2002
    section 4.6 allows both), so MetalLB sends both. It fills in the broadcast address as target.
    """
    packet = ArpPacket(operation, mac, address, BROADCAST, address)
    return EthernetFrame(BROADCAST, mac, EtherType.ARP, encode(packet))


def probe(mac: MacAddress, address: IPv4Address) -> EthernetFrame:
    """Return the question whether somebody else has the address (RFC 5227 section 2.1.1)."""
    nobody = IPv4Address(0)
    packet = ArpPacket(Operation.REQUEST, mac, nobody, MacAddress(bytes(6)), address)
    return EthernetFrame(BROADCAST, mac, EtherType.ARP, encode(packet))
