"""What to answer to a neighbor solicitation: our part of IPv6 neighbor discovery, as one function.

MetalLB ignores solicitations without the sender's MAC address, and with them every check of a
neighbor's cache and every search for duplicates. Here these get their answers too.
"""

from __future__ import annotations

from collections.abc import Container

from metallb_py.protocols import ethernet, ndp
from metallb_py.protocols.ethernet import EthernetError, EthernetFrame, EtherType, MacAddress
from metallb_py.protocols.ndp import Advertisement, NdpError, Solicitation
from speaker.layer2.answer import DropReason


def answer_solicitation(
    frame: bytes, mac: MacAddress, owned: Container[bytes]
) -> bytes | DropReason:
    """Return the advertisement for a frame, or why there is none. ``mac`` is ours where it came in.

    ``owned`` holds packed addresses.
    """
    try:
        outer = ethernet.decode(frame)
        if outer.ether_type != EtherType.IPV6:
            return DropReason.MESSAGE_TYPE
        solicitation = ndp.decode_solicitation(outer.payload)
    except (EthernetError, NdpError):
        return DropReason.MALFORMED
    if solicitation is None:
        return DropReason.MESSAGE_TYPE
    group_mac = ndp.multicast_mac(ndp.solicited_node(solicitation.target))
    if outer.destination not in (mac, group_mac):
        return DropReason.ETHERNET_DESTINATION
    if solicitation.target.packed not in owned:
        return DropReason.ANNOUNCE_IP
    if outer.vlan:
        return DropReason.VLAN
    return _advertisement(solicitation, solicitation.source_mac or outer.source, mac)


def _advertisement(
    solicitation: Solicitation, client: MacAddress, mac: MacAddress
) -> bytes | DropReason:
    target = solicitation.target
    if solicitation.source == ndp.UNSPECIFIED:
        # RFC 4861 section 7.2.4: who has no address yet hears it with all the others.
        return ethernet.encode(ndp.unsolicited(mac, target))
    if ethernet.is_group(client):
        return DropReason.MALFORMED  # an answer to it would go to everybody
    # Override stays off, as in MetalLB: while two nodes answer, the first one is believed.
    reply = Advertisement(solicitation.source, target, mac, solicited=True)
    packet = ndp.encode_advertisement(reply)
    return ethernet.encode(EthernetFrame(client, mac, EtherType.IPV6, packet))
