"""ARP and NDP behind one interface: replies, bursts, and announcements to single hosts."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers import l2
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6

from metallb_py.protocols import arp, ethernet, ndp
from metallb_py.protocols.ethernet import BROADCAST, EthernetFrame, EtherType, MacAddress
from speaker.responder.protocols import ARP, NDP, AddressResolutionProtocol
from speaker.responder.requesters import Requester

OURS = MacAddress(b"\2\0\0\0\0\1")
THEIRS = MacAddress(b"\2\0\0\0\0\2")
V4 = IPv4Address("192.0.2.100")
V6 = IPv6Address("2001:db8::64")
REQUEST = EthernetFrame(
    BROADCAST,
    THEIRS,
    EtherType.ARP,
    arp.encode(arp.ArpPacket(1, THEIRS, IPv4Address("192.0.2.2"), OURS, V4)),
)
SOLICITATION = EthernetFrame(
    OURS,
    THEIRS,
    EtherType.IPV6,
    ndp.encode_solicitation(ndp.Solicitation(IPv6Address("fe80::2"), V6, V6, THEIRS)),
)


@pytest.mark.parametrize(
    ("protocol", "frame", "address"), [(ARP, REQUEST, V4), (NDP, SOLICITATION, V6)]
)
def test_the_address_is_found_in_a_reply(
    protocol: AddressResolutionProtocol, frame: EthernetFrame, address: IPv4Address | IPv6Address
) -> None:
    packed = address.packed
    assert frame.ether_type == protocol.ether_type
    assert len(packed) == protocol.address_length

    reply = protocol.answer(ethernet.encode(frame), OURS, {packed}, frozenset())

    assert isinstance(reply, bytes)
    assert reply[protocol.address_in] == packed


@pytest.mark.parametrize(("protocol", "address", "count"), [(ARP, V4, 2), (NDP, V6, 1)])
def test_frames_of_a_gratuitous_burst(
    protocol: AddressResolutionProtocol, address: IPv4Address | IPv6Address, count: int
) -> None:
    frames = [ethernet.decode(f) for f in protocol.announcements(OURS, address.packed)]
    assert len(frames) == count
    assert {frame.ether_type for frame in frames} == {protocol.ether_type}
    assert {frame.source for frame in frames} == {OURS}
    assert all(ethernet.is_group(frame.destination) for frame in frames)


def test_router_notifications_of_a_takeover_have_no_override_flag() -> None:
    # RFC 9131: to all routers; RFC 4861 section 7.2.6: to all nodes, overriding.
    (frame,) = NDP.router_notifications(OURS, V6.packed)
    parsed = l2.Ether(frame)
    assert (parsed.src, parsed.dst) == ("02:00:00:00:00:01", "33:33:00:00:00:02")
    assert (parsed[IPv6].src, parsed[IPv6].dst, parsed[IPv6].hlim) == (str(V6), "ff02::2", 255)
    flags = parsed[ICMPv6ND_NA]
    assert (flags.tgt, flags.R, flags.S, flags.O) == (str(V6), 0, 0, 0)
    assert parsed[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:01"
    assert ARP.router_notifications(OURS, V4.packed) == ()


def test_unicast_announcement_in_arp() -> None:
    requester = Requester(2, THEIRS, IPv4Address("192.0.2.2").packed)
    parsed = l2.Ether(ARP.unicast_announcement(OURS, V4.packed, requester))
    assert (parsed.src, parsed.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    packet = parsed[l2.ARP]
    assert (packet.op, packet.hwsrc, packet.psrc) == (2, parsed.src, str(V4))
    assert (packet.hwdst, packet.pdst) == (parsed.dst, "192.0.2.2")


def test_unicast_announcement_in_neighbor_discovery() -> None:
    requester = Requester(2, THEIRS, IPv6Address("fe80::2").packed)
    frame = NDP.unicast_announcement(OURS, V6.packed, requester)
    parsed = l2.Ether(frame)
    assert (parsed.src, parsed.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (parsed[IPv6].src, parsed[IPv6].dst, parsed[IPv6].hlim) == (str(V6), "fe80::2", 255)
    flags = parsed[ICMPv6ND_NA]
    assert (flags.tgt, flags.R, flags.S, flags.O) == (str(V6), 0, 0, 1)
    del flags.cksum
    assert bytes(parsed) == frame


@pytest.mark.parametrize(
    ("protocol", "frame", "requester"),
    [(ARP, REQUEST, IPv4Address("192.0.2.2")), (NDP, SOLICITATION, IPv6Address("fe80::2"))],
)
def test_the_requester_is_found_in_a_reply(
    protocol: AddressResolutionProtocol, frame: EthernetFrame, requester: IPv4Address | IPv6Address
) -> None:
    reply = protocol.answer(ethernet.encode(frame), OURS, {V4.packed, V6.packed}, frozenset())
    assert isinstance(reply, bytes)
    assert reply[protocol.requester_in] == requester.packed
