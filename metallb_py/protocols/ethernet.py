"""Ethernet II frames, with at most one VLAN tag (IEEE 802.3, 802.1Q)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

from metallb_py.protocols.byte_reader import Flaw, FlawedError, Reader, TruncatedError

MacAddress = NewType("MacAddress", bytes)
"""An IEEE 802 MAC address: six bytes."""

BROADCAST = MacAddress(b"\xff" * 6)

_MAC_LENGTH = 6
_VLAN_ID_BITS = 0x0FFF  # the rest of a tag is priority and drop eligibility
# Below this value, the field is the length of an IEEE 802.3 frame, not a type.
_LOWEST_ETHER_TYPE = 0x0600


class EtherType(IntEnum):
    """The protocols that we speak directly above Ethernet."""

    ARP = 0x0806
    VLAN = 0x8100
    IPV6 = 0x86DD


class EthernetError(FlawedError):
    """These bytes are no Ethernet II frame."""


@dataclass(frozen=True, slots=True)
class EthernetFrame:
    """A frame without its checksum.

    ``vlan`` is the VLAN identifier of its tag (0: priority only), None where it has no tag.
    ``payload`` includes the padding of short frames: only the payload's protocol knows its length.
    """

    destination: MacAddress
    source: MacAddress
    ether_type: int
    payload: bytes
    vlan: int | None = None


def encode(frame: EthernetFrame) -> bytes:
    """Return the frame's bytes. Padding is left to the hardware."""
    tag = b""
    if frame.vlan is not None:
        tag = EtherType.VLAN.to_bytes(2) + frame.vlan.to_bytes(2)
    ether_type = frame.ether_type.to_bytes(2)
    return b"".join((frame.destination, frame.source, tag, ether_type, frame.payload))


def decode(data: bytes) -> EthernetFrame:
    """Read a frame. Raises EthernetError, and only that."""
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
        raise EthernetError(f"ethernet header: {error}", Flaw.TRUNCATED) from error
    if ether_type < _LOWEST_ETHER_TYPE:
        raise EthernetError(
            f"ethernet header: found type {ether_type:#06x}, want {_LOWEST_ETHER_TYPE:#06x} or more"
        )
    return EthernetFrame(destination, source, ether_type, reader.rest(), vlan)


def is_group(address: MacAddress) -> bool:
    """Whether the address stands for many stations: a multicast address or the broadcast one."""
    return bool(address[0] & 1)


def format_mac(address: MacAddress) -> str:
    """Return the usual text form: ``02:00:5e:00:53:01``."""
    return address.hex(":")
