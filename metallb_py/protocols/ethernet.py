"""Ethernet II frames, with at most one VLAN tag (IEEE 802.3, 802.1Q)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

from metallb_py.protocols.byte_reader import Malformation, MalformedError, Reader, TruncatedError

MacAddress = NewType("MacAddress", bytes)
"""An IEEE 802 MAC address: six bytes."""

BROADCAST = MacAddress(b"\xff" * 6)

_MAC_LENGTH = 6
_VLAN_ID_BITS = 0x0FFF  # the rest of a tag is priority and drop eligibility
# Below this value, the field is the length of an IEEE 802.3 frame, not a type.
_LOWEST_ETHER_TYPE = 0x0600


class EtherType(IntEnum):
    """EtherType values of the protocols in use (IEEE 802)."""

    ARP = 0x0806
    VLAN = 0x8100
    IPV6 = 0x86DD


class EthernetError(MalformedError):
    """The bytes are not an Ethernet II frame."""


@dataclass(frozen=True, slots=True)
class EthernetFrame:
    """A frame without its checksum."""

    destination: MacAddress
    """MAC address of the receiver, or a group address."""
    source: MacAddress
    """MAC address of the sender."""
    ether_type: int
    """The payload's protocol, possibly one that ``EtherType`` does not name."""
    payload: bytes
    """Includes the padding of short frames: only the payload's protocol defines its length."""
    vlan: int | None = None
    """VLAN identifier of the frame's tag (0: priority only), None for an untagged frame."""


def encode(frame: EthernetFrame) -> bytes:
    """Return the frame's bytes. The hardware adds the padding."""
    tag = b""
    if frame.vlan is not None:
        tag = EtherType.VLAN.to_bytes(2) + frame.vlan.to_bytes(2)
    ether_type = frame.ether_type.to_bytes(2)
    return b"".join((frame.destination, frame.source, tag, ether_type, frame.payload))


def decode(data: bytes) -> EthernetFrame:
    """Decode a frame. Raises EthernetError and nothing else."""
    reader = Reader(data)
    try:
        destination = MacAddress(reader.take(_MAC_LENGTH))
        source = MacAddress(reader.take(_MAC_LENGTH))
        ether_type = reader.u16()
        vlan = None
        if ether_type == EtherType.VLAN:
            vlan = reader.u16() & _VLAN_ID_BITS
            ether_type = reader.u16()
    except TruncatedError as error:
        raise EthernetError(f"ethernet header: {error}", Malformation.TRUNCATED) from error
    if ether_type < _LOWEST_ETHER_TYPE:
        raise EthernetError(
            f"ethernet header: found type {ether_type:#06x}, want {_LOWEST_ETHER_TYPE:#06x} or more"
        )
    return EthernetFrame(destination, source, ether_type, reader.rest(), vlan)


def is_group(address: MacAddress) -> bool:
    """Whether the address is a group address: a multicast address or the broadcast address."""
    return bool(address[0] & 1)


def format_mac(address: MacAddress) -> str:
    """Return the usual text form, such as ``02:00:5e:00:53:01``."""
    return address.hex(":")
