"""What to answer to a frame: the whole of our ARP server, as one function.

``answer`` runs once for each frame that the kernel's filter lets through. Nearly all of these are
requests for an owned address, which it recognises and answers on raw bytes, by fixed offsets.
Anything else takes the slow path through the decoders, which find out what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum

from metallb_py.protocols import arp, ethernet
from metallb_py.protocols.arp import ArpError, Operation
from metallb_py.protocols.byte_reader import Flaw
from metallb_py.protocols.ethernet import BROADCAST, EthernetError, EtherType, MacAddress

# An untagged frame with an ARP packet for IPv4 on Ethernet (RFC 826, "Packet format"), by offset:
#   0 destination  6 source  12 EtherType | 14 kinds  20 operation
#   22 sender MAC  28 sender IP  32 target MAC  38 target IP  42 padding
_REQUEST = bytes.fromhex("0806 0001 0800 06 04 0001")
_REPLY = bytes.fromhex("0806 0001 0800 06 04 0002")
_GROUP_BIT = 1


class DropReason(StrEnum):
    """Why a frame gets no answer. The first five are MetalLB's names."""

    ARP_REPLY = "ARPReply"
    MESSAGE_TYPE = "MessageType"
    ETHERNET_DESTINATION = "EthernetDestination"
    ANNOUNCE_IP = "AnnounceIP"
    ERROR = "Error"  # it could not be read
    OVERRUN = "Overrun"  # it came faster than we read, and the kernel dropped it
    NOT_ARP = "NotARP"
    VLAN = "VLAN"  # tagged for a network that the interface is not in
    GROUP_SENDER = "GroupSender"  # an answer to it would go to many
    OWN = "Own"  # our own announcement or probe, heard on another interface
    TRUNCATED = Flaw.TRUNCATED.value
    ADDRESS_KINDS = Flaw.ADDRESS_KINDS.value
    HOP_LIMIT = Flaw.HOP_LIMIT.value
    CHECKSUM = Flaw.CHECKSUM.value
    MALFORMED = Flaw.MALFORMED.value


def answer(
    frame: bytes,
    mac: MacAddress,
    owned: Container[bytes],
    ours: Container[bytes] = frozenset(),
) -> bytes | DropReason:
    """Return the reply to a frame that came in where we have this MAC, or why there is none.

    ``owned`` holds packed addresses, ``ours`` the MAC addresses of all our interfaces. A request
    gets its answer whether it was broadcast or, as a neighbor's cache check is, unicast (RFC 1122
    section 2.3.2.1), and whoever sent it: a probe, whose sender address is 0.0.0.0, must learn that
    the address is taken (RFC 5227 section 2.1.1). Only what we said ourselves, through another
    interface on the same wire, is no question.
    """
    target_ip = frame[38:42]  # shorter than any owned address where the frame ends early
    if (
        frame[12:22] == _REQUEST
        and target_ip in owned
        and frame.startswith((mac, BROADCAST))
        and not frame[22] & _GROUP_BIT
        and frame[22:28] not in ours
    ):
        return _reply(frame, mac)
    return _consider(frame, mac, owned, ours)


def _reply(frame: bytes, mac: MacAddress) -> bytes:
    # RFC 826: swap sender and target, put our own hardware address in the sender's place.
    sender = frame[22:32]
    return b"".join((sender[:6], mac, _REPLY, mac, frame[38:42], sender))


def _consider(
    frame: bytes, mac: MacAddress, owned: Container[bytes], ours: Container[bytes]
) -> bytes | DropReason:
    try:
        outer = ethernet.decode(frame)
        if outer.ether_type != EtherType.ARP:
            return DropReason.NOT_ARP
        packet = arp.decode(outer.payload)
    except (EthernetError, ArpError) as error:
        return DropReason(error.flaw)
    if packet.operation != Operation.REQUEST:
        return DropReason.ARP_REPLY
    if outer.destination not in (mac, BROADCAST):
        return DropReason.ETHERNET_DESTINATION
    if packet.target_ip.packed not in owned:
        return DropReason.ANNOUNCE_IP
    if ethernet.is_group(packet.sender_mac):
        return DropReason.GROUP_SENDER
    if outer.vlan:
        return DropReason.VLAN  # it belongs to another interface, whose responder gets it too
    if packet.sender_mac in ours and packet.sender_ip in (packet.target_ip, arp.UNSPECIFIED):
        return DropReason.OWN
    # A tag that is left here carries a priority only (IEEE 802.1Q: VLAN 0 is no VLAN).
    return _reply(frame if outer.vlan is None else frame[:12] + frame[16:], mac)
