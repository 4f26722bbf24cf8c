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
from metallb_py.protocols.ethernet import BROADCAST, EthernetError, EtherType, MacAddress

# An untagged frame with an ARP packet for IPv4 on Ethernet (RFC 826, "Packet format"), by offset:
#   0 destination  6 source  12 EtherType | 14 kinds  20 operation
#   22 sender MAC  28 sender IP  32 target MAC  38 target IP  42 padding
_REQUEST = bytes.fromhex("0806 0001 0800 06 04 0001")
_REPLY = bytes.fromhex("0806 0001 0800 06 04 0002")
_GROUP_BIT = 1


class DropReason(StrEnum):
    """Why a frame gets no answer. The first four are MetalLB's names."""

    ARP_REPLY = "ARPReply"
    MESSAGE_TYPE = "MessageType"
    ETHERNET_DESTINATION = "EthernetDestination"
    ANNOUNCE_IP = "AnnounceIP"
    MALFORMED = "Malformed"
    NOT_ARP = "NotARP"
    VLAN = "VLAN"


def answer(frame: bytes, mac: MacAddress, owned: Container[bytes]) -> bytes | DropReason:
    """Return the reply to a frame that came in where we have this MAC, or why there is none.

    ``owned`` holds packed addresses. A request gets its answer whether it was broadcast or, as a
    neighbor's cache check is, unicast (RFC 1122 section 2.3.2.1), and whoever sent it: a probe,
    whose sender address is 0.0.0.0, must learn that the address is taken (RFC 5227 section 2.1.1).
    """
    target_ip = frame[38:42]  # shorter than any owned address where the frame ends early
    if (
        frame[12:22] == _REQUEST
        and target_ip in owned
        and frame.startswith((mac, BROADCAST))
        and not frame[22] & _GROUP_BIT
    ):
        sender = frame[22:32]
        # RFC 826: swap sender and target, put our own hardware address in the sender's place.
        return b"".join((sender[:6], mac, _REPLY, mac, target_ip, sender))
    return _why_not(frame, mac, owned)


def _why_not(frame: bytes, mac: MacAddress, owned: Container[bytes]) -> bytes | DropReason:
    try:
        outer = ethernet.decode(frame)
        if outer.ether_type != EtherType.ARP:
            return DropReason.NOT_ARP
        packet = arp.decode(outer.payload)
    except (EthernetError, ArpError):
        return DropReason.MALFORMED
    if packet.operation != Operation.REQUEST:
        return DropReason.ARP_REPLY
    if outer.destination not in (mac, BROADCAST):
        return DropReason.ETHERNET_DESTINATION
    if packet.target_ip.packed not in owned:
        return DropReason.ANNOUNCE_IP
    if ethernet.is_group(packet.sender_mac):
        return DropReason.MALFORMED  # an answer to it would go to everybody
    if outer.vlan:
        return DropReason.VLAN  # it belongs to another interface, whose responder gets it too
    # What is left has a tag that carries a priority only (IEEE 802.1Q: VLAN 0 is no VLAN).
    untagged = frame[:12] + frame[16:]
    return answer(untagged, mac, owned)
