"""Each protocol answers for its own addresses, and tells which one an answer is about."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from metallb_py.protocols import arp, ethernet, ndp
from metallb_py.protocols.ethernet import BROADCAST, EthernetFrame, EtherType, MacAddress
from speaker.layer2.resolution import ARP, NDP, Resolution

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

    reply = protocol.answer(ethernet.encode(frame), OURS, {packed})

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
