"""Each protocol answers for its own addresses, and tells which one an answer is about."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers import l2
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6

from metallb_py.protocols import arp, ethernet, ndp
from metallb_py.protocols.ethernet import BROADCAST, EthernetFrame, EtherType, MacAddress
from speaker.responder.protocols import ARP, NDP, Resolution
from speaker.responder.requesters import Asker

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
def test_an_answer_tells_its_address(
    protocol: Resolution, frame: EthernetFrame, address: IPv4Address | IPv6Address
) -> None:
    packed = address.packed
    assert frame.ether_type == protocol.ether_type
    assert len(packed) == protocol.address_length

    reply = protocol.answer(ethernet.encode(frame), OURS, {packed}, frozenset())

    assert isinstance(reply, bytes)
    assert reply[protocol.address_in] == packed


@pytest.mark.parametrize(("protocol", "address", "count"), [(ARP, V4, 2), (NDP, V6, 1)])
def test_the_frames_of_a_burst(
    protocol: Resolution, address: IPv4Address | IPv6Address, count: int
) -> None:
    frames = [ethernet.decode(f) for f in protocol.announcements(OURS, address.packed)]
    assert len(frames) == count
    assert {frame.ether_type for frame in frames} == {protocol.ether_type}
    assert {frame.source for frame in frames} == {OURS}
    assert all(ethernet.is_group(frame.destination) for frame in frames)


def test_routers_are_told_of_a_takeover_without_overriding_what_they_believe() -> None:
    # RFC 9131: to all routers; RFC 4861 section 7.2.6: to all nodes, overriding.
    (frame,) = NDP.introductions(OURS, V6.packed)
    told = l2.Ether(frame)
    assert (told.src, told.dst) == ("02:00:00:00:00:01", "33:33:00:00:00:02")
    assert (told[IPv6].src, told[IPv6].dst, told[IPv6].hlim) == (str(V6), "ff02::2", 255)
    flags = told[ICMPv6ND_NA]
    assert (flags.tgt, flags.R, flags.S, flags.O) == (str(V6), 0, 0, 0)
    assert told[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:01"
    assert ARP.introductions(OURS, V4.packed) == ()


def test_one_host_is_told_in_arp() -> None:
    asker = Asker(2, THEIRS, IPv4Address("192.0.2.2").packed)
    told = l2.Ether(ARP.telling(OURS, V4.packed, asker))
    assert (told.src, told.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    packet = told[l2.ARP]
    assert (packet.op, packet.hwsrc, packet.psrc) == (2, told.src, str(V4))
    assert (packet.hwdst, packet.pdst) == (told.dst, "192.0.2.2")


def test_one_host_is_told_in_neighbor_discovery() -> None:
    asker = Asker(2, THEIRS, IPv6Address("fe80::2").packed)
    frame = NDP.telling(OURS, V6.packed, asker)
    told = l2.Ether(frame)
    assert (told.src, told.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (told[IPv6].src, told[IPv6].dst, told[IPv6].hlim) == (str(V6), "fe80::2", 255)
    flags = told[ICMPv6ND_NA]
    assert (flags.tgt, flags.R, flags.S, flags.O) == (str(V6), 0, 0, 1)
    del flags.cksum
    assert bytes(told) == frame


@pytest.mark.parametrize(
    ("protocol", "frame", "asker"),
    [(ARP, REQUEST, IPv4Address("192.0.2.2")), (NDP, SOLICITATION, IPv6Address("fe80::2"))],
)
def test_an_answer_tells_who_asked(
    protocol: Resolution, frame: EthernetFrame, asker: IPv4Address | IPv6Address
) -> None:
    reply = protocol.answer(ethernet.encode(frame), OURS, {V4.packed, V6.packed}, frozenset())
    assert isinstance(reply, bytes)
    assert reply[protocol.asker_in] == asker.packed
