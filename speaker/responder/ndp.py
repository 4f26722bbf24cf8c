"""Neighbor advertisements in reply to solicitations (RFC 4861), as one function.

MetalLB ignores solicitations without the sender's link-layer address, and so every unicast
neighbor unreachability probe and every duplicate address detection. Here these are answered too.

As in ``answer``, the usual solicitation is recognised and answered on raw bytes; all others,
malformed ones included, go through the decoders.
"""

from __future__ import annotations

from collections.abc import Container

from metallb_py.protocols import ethernet, ndp
from metallb_py.protocols.ethernet import EthernetError, EthernetFrame, EtherType, MacAddress
from metallb_py.protocols.ndp import Advertisement, NdpError, Solicitation
from speaker.responder.arp import DropReason

# The usual frame: untagged, without traffic class and flow label, with the source link-layer
# address as its only option (RFC 4861 section 4.3), by offset:
#   0 destination  6 source  12 EtherType | 14 version  18 length  20 ICMPv6  21 hop limit
#   22 source IP  38 destination IP | 54 type, code  56 checksum  62 target | 78 option  80 MAC
_HEADER = bytes.fromhex("86DD 6000 0000 0020 3A FF")
_SOLICITATION = b"\x87\0"
_SOURCE_OPTION = b"\1\1"
_WHOLE = 86
# The advertisement has the same size, with ICMPv6 type 136, the flag "solicited", and the target
# link-layer address as its option.
_ADVERTISEMENT = b"\x88\0"
_SOLICITED = b"\x40\0\0\0"
_TARGET_OPTION = b"\2\1"
# Constant parts of the checksums (RFC 8200 section 8.1): the pseudo-header's length and next
# header, and in the reply also the constants above.
_PSEUDO = 32 + 58
_REPLY_PSEUDO = _PSEUDO + 0x8800 + 0x4000 + 0x0201
_SOLICITED_NODE_MAC = b"\x33\x33\xff"
_GROUP_BIT = 1
_MULTICAST = 0xFF


def answer_solicitation(
    frame: bytes,
    mac: MacAddress,
    owned: Container[bytes],
    ours: Container[bytes] = frozenset(),
) -> bytes | DropReason:
    """Return the advertisement for a frame, or why there is none.

    ``mac`` is that of the interface that received the frame. ``owned`` holds packed addresses,
    ``ours`` the MAC addresses of all our interfaces.
    """
    target = frame[62:78]
    source = frame[22:38]
    if (
        frame[12:22] == _HEADER
        and frame[54:56] == _SOLICITATION
        and frame[78:80] == _SOURCE_OPTION
        and len(frame) >= _WHOLE
        and target in owned
        and frame.startswith((mac, _SOLICITED_NODE_MAC + target[13:]))
        and not frame[80] & _GROUP_BIT
        and frame[22] != _MULTICAST
        and any(source)
        and (int.from_bytes(frame[22:_WHOLE]) + _PSEUDO) % 0xFFFF == 0
    ):
        return _usual_advertisement(target, source, MacAddress(frame[80:86]), mac)
    return _consider(frame, mac, owned, ours)


def _usual_advertisement(
    target: bytes, source: bytes, client: MacAddress, mac: MacAddress
) -> bytes:
    # The target counts twice, as it is the source in the pseudo-header, too. The sum of 16-bit
    # numbers with end-around carry is the remainder of the whole as one number (RFC 1071 section
    # 2).
    numbers = 2 * int.from_bytes(target) + int.from_bytes(source) + int.from_bytes(mac)
    checksum = 0xFFFF - (numbers + _REPLY_PSEUDO) % 0xFFFF
    return b"".join(
        (
            *(client, mac, _HEADER, target, source),
            *(_ADVERTISEMENT, checksum.to_bytes(2), _SOLICITED, target, _TARGET_OPTION, mac),
        )
    )


def _consider(
    frame: bytes, mac: MacAddress, owned: Container[bytes], ours: Container[bytes]
) -> bytes | DropReason:
    try:
        outer = ethernet.decode(frame)
        if outer.ether_type != EtherType.IPV6:
            return DropReason.MESSAGE_TYPE
        solicitation = ndp.decode_solicitation(outer.payload)
    except (EthernetError, NdpError) as error:
        return DropReason(error.malformation)
    if solicitation is None:
        return DropReason.MESSAGE_TYPE
    group_mac = ndp.multicast_mac(ndp.solicited_node(solicitation.target))
    if outer.destination not in (mac, group_mac):
        return DropReason.ETHERNET_DESTINATION
    if solicitation.target.packed not in owned:
        return DropReason.ANNOUNCE_IP
    if outer.vlan:
        return DropReason.VLAN
    if solicitation.source == ndp.UNSPECIFIED and outer.source in ours:
        return DropReason.OWN
    return _advertisement(solicitation, solicitation.source_mac or outer.source, mac)


def _advertisement(
    solicitation: Solicitation, client: MacAddress, mac: MacAddress
) -> bytes | DropReason:
    target = solicitation.target
    if solicitation.source == ndp.UNSPECIFIED:
        # RFC 4861 section 7.2.4: a sender without an address is answered by multicast.
        return ethernet.encode(ndp.unsolicited(mac, target))
    if ethernet.is_group(client) or solicitation.source.is_multicast:
        return DropReason.GROUP_SENDER
    # Override is not set, as in MetalLB: while two nodes answer, the first reply is used.
    reply = Advertisement(solicitation.source, target, mac, solicited=True)
    packet = ndp.encode_advertisement(reply)
    return ethernet.encode(EthernetFrame(client, mac, EtherType.IPV6, packet))
