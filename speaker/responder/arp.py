"""ARP replies (RFC 826): the whole ARP server, as one function from frame to reply.

``answer`` runs once for each frame that the kernel's filter lets through. Nearly all of these are
requests for an owned address, which it recognises and answers on raw bytes, by fixed offsets.
Any other frame takes the slow path through the decoders, which determine the reason for a drop.
"""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum

from metallb_py.protocols import arp, ethernet
from metallb_py.protocols.arp import ArpError, Operation
from metallb_py.protocols.byte_reader import Malformation
from metallb_py.protocols.ethernet import BROADCAST, EthernetError, EtherType, MacAddress

# An untagged frame with an ARP packet for IPv4 on Ethernet (RFC 826, "Packet format"), by offset:
#   0 destination  6 source  12 EtherType | 14 kinds  20 operation
#   22 sender MAC  28 sender IP  32 target MAC  38 target IP  42 padding
_REQUEST = bytes.fromhex("0806 0001 0800 06 04 0001")
_REPLY = bytes.fromhex("0806 0001 0800 06 04 0002")
_GROUP_BIT = 1


class DropReason(StrEnum):
    """Reason why a frame gets no reply. The first five are MetalLB's names."""

    ARP_REPLY = "ARPReply"
    MESSAGE_TYPE = "MessageType"
    ETHERNET_DESTINATION = "EthernetDestination"
    ANNOUNCE_IP = "AnnounceIP"
    ERROR = "Error"  # receiving failed
    OVERRUN = "Overrun"  # the kernel dropped it, as the socket's buffer was full
    NOT_ARP = "NotARP"
    VLAN = "VLAN"  # tagged for a VLAN that the interface is not in
    GROUP_SENDER = "GroupSender"  # its sender address is a group's, so a reply would be multicast
    OWN = "Own"  # our own announcement or probe, received on another interface
    TRUNCATED = Malformation.TRUNCATED.value
    ADDRESS_KINDS = Malformation.ADDRESS_KINDS.value
    HOP_LIMIT = Malformation.HOP_LIMIT.value
    CHECKSUM = Malformation.CHECKSUM.value
    MALFORMED = Malformation.MALFORMED.value


def answer(
    frame: bytes,
    mac: MacAddress,
    owned: Container[bytes],
    ours: Container[bytes] = frozenset(),
) -> bytes | DropReason:
    """Return the reply to a frame received on the interface with this MAC, or why there is none.

    ``owned`` holds packed addresses, ``ours`` the MAC addresses of all our interfaces. A request
    is answered whether it was broadcast or unicast, as a neighbor's cache validation is (RFC 1122
    section 2.3.2.1), and from any sender: the sender of a probe, whose sender address is 0.0.0.0,
    must learn that the address is in use (RFC 5227 section 2.1.1). Only our own frames, sent
    through another interface on the same link, are not answered.
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
    # RFC 826: swap sender and target fields, with our own hardware address as the sender's.
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
        return DropReason(error.malformation)
    if packet.operation != Operation.REQUEST:
        return DropReason.ARP_REPLY
    if outer.destination not in (mac, BROADCAST):
        return DropReason.ETHERNET_DESTINATION
    if packet.target_ip.packed not in owned:
        return DropReason.ANNOUNCE_IP
    if ethernet.is_group(packet.sender_mac):
        return DropReason.GROUP_SENDER
    if outer.vlan:
        return DropReason.VLAN  # for the VLAN's interface, which receives it as well
    if packet.sender_mac in ours and packet.sender_ip in (packet.target_ip, arp.UNSPECIFIED):
        return DropReason.OWN
    # A remaining tag has VLAN ID 0, so it carries a priority only (IEEE 802.1Q).
    return _reply(frame if outer.vlan is None else frame[:12] + frame[16:], mac)
