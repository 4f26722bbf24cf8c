"""Replies to neighbor solicitations. scapy makes the solicitations and parses the replies."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.arp import DropReason
from speaker.responder.ndp import answer_solicitation

OURS = "02:00:00:00:00:01"
THEIRS = "02:00:00:00:00:02"
MAC = MacAddress(bytes.fromhex(OURS.replace(":", "")))
VIP = "2001:db8::64"
OWNED = frozenset({IPv6Address(VIP).packed})
GROUP = str(IPv6Address(in6_getnsma(IPv6Address(VIP).packed)))
GROUP_MAC = in6_getnsmac(in6_getnsma(IPv6Address(VIP).packed))


def solicitation(
    mac: str | None = THEIRS,
    to: str = GROUP_MAC,
    target: str = VIP,
    source: str = "fe80::2",
    destination: str = GROUP,
    hop_limit: int = 255,
) -> Packet:
    packet = Ether(src=THEIRS, dst=to) / IPv6(src=source, dst=destination, hlim=hop_limit)
    packet /= ICMPv6ND_NS(tgt=target)
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=mac) if mac else packet


def replied(frame: Packet) -> Packet:
    reply = answer_solicitation(bytes(frame), MAC, OWNED)
    assert isinstance(reply, bytes), reply
    # scapy computes the checksum of what it builds: ours must be the same.
    parsed = Ether(reply)
    rebuilt = parsed.copy()
    del rebuilt[ICMPv6ND_NA].cksum
    assert bytes(rebuilt) == reply
    return parsed


@pytest.mark.parametrize(
    "frame",
    [
        solicitation(),
        solicitation(to=OURS, destination=VIP),
        solicitation(to=OURS, destination=VIP, mac=None),
        solicitation(mac=None),
    ],
    ids=["to the group", "unicast", "unicast without a MAC", "to the group without a MAC"],
)
def test_a_neighbor_solicitation_is_answered_to_its_sender(frame: Packet) -> None:
    reply = replied(frame)

    assert (reply.dst, reply.src, reply.type) == (THEIRS, OURS, 0x86DD)
    assert (reply[IPv6].src, reply[IPv6].dst, reply[IPv6].hlim) == (VIP, "fe80::2", 255)
    message = reply[ICMPv6ND_NA]
    assert (message.tgt, message.R, message.S, message.O) == (VIP, 0, 1, 0)
    assert reply[ICMPv6NDOptDstLLAddr].lladdr == OURS


def test_the_reply_goes_to_the_source_link_layer_address_option() -> None:
    assert replied(solicitation(mac="02:00:00:00:00:33")).dst == "02:00:00:00:00:33"


def test_duplicate_address_detection_is_answered_to_all_nodes() -> None:
    reply = replied(solicitation(mac=None, source="::"))

    assert (reply.dst, reply[IPv6].dst) == ("33:33:00:00:00:01", "ff02::1")
    assert (reply[ICMPv6ND_NA].tgt, reply[ICMPv6ND_NA].S) == (VIP, 0)


def test_padding_changes_nothing() -> None:
    frame = bytes(solicitation())
    plain = answer_solicitation(frame, MAC, OWNED)
    assert answer_solicitation(frame + bytes(10), MAC, OWNED) == plain


def marked(**fields: int) -> Packet:
    """Return a solicitation with header fields that most hosts leave at zero."""
    frame = solicitation()
    for name, value in fields.items():
        setattr(frame[IPv6], name, value)
    return frame


@pytest.mark.parametrize(
    "frame",
    [
        marked(tc=0xE0),
        marked(fl=0x12345),
        Ether(dst=GROUP_MAC, src=THEIRS) / Dot1Q(vlan=0, prio=6) / solicitation()[IPv6],
        solicitation() / ICMPv6NDOptMTU(),
    ],
    ids=["traffic class", "flow label", "priority tag", "another option"],
)
def test_an_unusual_solicitation_gets_the_usual_reply(frame: Packet) -> None:
    usual = answer_solicitation(bytes(solicitation()), MAC, OWNED)
    assert answer_solicitation(bytes(frame), MAC, OWNED) == usual


def test_own_duplicate_address_detection_is_not_answered() -> None:
    # Two interfaces on one link: the second receives what the first sends.
    ours = frozenset({bytes.fromhex(THEIRS.replace(":", ""))})
    probe = bytes(solicitation(mac=None, source="::"))
    assert answer_solicitation(probe, MAC, OWNED, ours) is DropReason.OWN
    request = bytes(solicitation())
    assert isinstance(answer_solicitation(request, MAC, OWNED, ours), bytes)


def test_a_wrong_checksum_has_a_drop_reason_of_its_own() -> None:
    frame = bytearray(bytes(solicitation()))
    frame[56] ^= 1
    assert answer_solicitation(bytes(frame), MAC, OWNED) is DropReason.CHECKSUM


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (solicitation(target="2001:db8::65"), DropReason.ETHERNET_DESTINATION),
        (solicitation(target="2001:db8::65", to=OURS), DropReason.ANNOUNCE_IP),
        (solicitation(target="2001:db8:1::64"), DropReason.ANNOUNCE_IP),
        (solicitation(to="02:00:00:00:00:99"), DropReason.ETHERNET_DESTINATION),
        (solicitation(hop_limit=64), DropReason.HOP_LIMIT),
        (solicitation(mac="33:33:00:00:00:01"), DropReason.GROUP_SENDER),
        (solicitation(source="ff02::1"), DropReason.GROUP_SENDER),
        (solicitation(source="ff02::1", mac=None), DropReason.GROUP_SENDER),
        (solicitation(source="::"), DropReason.MALFORMED),
        (Ether(dst=OURS) / IPv6(dst=VIP) / ICMPv6EchoRequest(), DropReason.MESSAGE_TYPE),
        (Ether(dst=OURS) / IPv6(dst=VIP, hlim=255) / ICMPv6ND_NA(), DropReason.MESSAGE_TYPE),
        (Ether(dst=OURS) / ARP(), DropReason.MESSAGE_TYPE),
        (Ether(dst=GROUP_MAC) / Dot1Q(vlan=5) / solicitation()[IPv6], DropReason.VLAN),
    ],
)
def test_drop_reason_of_a_frame_without_reply(frame: Packet, reason: DropReason) -> None:
    assert answer_solicitation(bytes(frame), MAC, OWNED) is reason


def test_a_frame_that_ends_early_is_truncated() -> None:
    frame = bytes(solicitation())
    assert len(frame) == 86
    for length in range(86):
        found = answer_solicitation(frame[:length], MAC, OWNED)
        assert found is DropReason.TRUNCATED, length
