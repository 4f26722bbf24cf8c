"""ARP replies, and reasons for none. scapy makes the requests and parses the replies."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, LLC, Dot1Q, Dot3, Ether
from scapy.packet import Packet

from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.arp import DropReason, answer

BROADCAST = "ff:ff:ff:ff:ff:ff"
OURS = "02:00:00:00:00:01"
THEIRS = "02:00:00:00:00:02"
MAC = MacAddress(bytes.fromhex(OURS.replace(":", "")))
OWNED = frozenset({IPv4Address("192.0.2.100").packed, IPv4Address("192.0.2.101").packed})


def request(destination: str = BROADCAST, target: str = "192.0.2.100", **fields: object) -> Packet:
    wanted = {"op": 1, "hwsrc": THEIRS, "psrc": "192.0.2.2", "pdst": target} | fields
    return Ether(dst=destination, src=THEIRS) / ARP(**wanted)


def replied(frame: Packet) -> Packet:
    reply = answer(bytes(frame), MAC, OWNED)
    assert isinstance(reply, bytes), reply
    return Ether(reply)


@pytest.mark.parametrize("destination", [BROADCAST, OURS])
def test_an_arp_request_is_answered_to_its_sender(destination: str) -> None:
    reply = replied(request(destination))

    assert (reply.dst, reply.src, reply.type) == (THEIRS, OURS, 0x0806)
    assert reply[ARP].op == 2
    assert (reply[ARP].hwsrc, reply[ARP].psrc) == (OURS, "192.0.2.100")
    assert (reply[ARP].hwdst, reply[ARP].pdst) == (THEIRS, "192.0.2.2")
    assert len(reply) == 42


def test_the_reply_goes_to_the_arp_sender_not_the_ethernet_source() -> None:
    # A proxy or a wireless bridge may have put its own address on the frame.
    reply = replied(request(hwsrc="02:00:00:00:00:33"))
    assert reply.dst == reply[ARP].hwdst == "02:00:00:00:00:33"


def test_an_arp_probe_is_answered() -> None:
    # RFC 5227 section 2.1.1: a reply makes the probing host choose another address.
    reply = replied(request(psrc="0.0.0.0"))
    assert (reply[ARP].psrc, reply[ARP].pdst, reply.dst) == ("192.0.2.100", "0.0.0.0", THEIRS)


def test_padding_changes_nothing() -> None:
    frame = request()
    assert answer(bytes(frame) + bytes(18), MAC, OWNED) == answer(bytes(frame), MAC, OWNED)


def test_a_priority_tag_changes_nothing() -> None:
    plain = request()
    tagged = Ether(dst=BROADCAST, src=THEIRS) / Dot1Q(vlan=0, prio=6) / plain[ARP]
    assert answer(bytes(tagged), MAC, OWNED) == answer(bytes(plain), MAC, OWNED)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (request(op=2), DropReason.ARP_REPLY),
        (request(op=3), DropReason.ARP_REPLY),
        (request("02:00:00:00:00:99"), DropReason.ETHERNET_DESTINATION),
        (request("01:00:5e:00:00:01"), DropReason.ETHERNET_DESTINATION),
        (request(target="192.0.2.102"), DropReason.ANNOUNCE_IP),
        (request(hwsrc=BROADCAST), DropReason.GROUP_SENDER),
        (request(hwsrc="01:00:5e:00:00:01"), DropReason.GROUP_SENDER),
        (request(plen=16), DropReason.ADDRESS_KINDS),
        (Dot3(dst=BROADCAST, src=THEIRS) / LLC(), DropReason.MALFORMED),
        (Ether(dst=OURS, src=THEIRS) / IP(), DropReason.NOT_ARP),
        (Ether(dst=BROADCAST, src=THEIRS) / Dot1Q(vlan=5) / request()[ARP], DropReason.VLAN),
    ],
)
def test_drop_reason_of_a_frame_without_reply(frame: Packet, reason: DropReason) -> None:
    assert answer(bytes(frame), MAC, OWNED) is reason


@pytest.mark.parametrize("length", range(42))
def test_a_frame_that_ends_early_is_truncated(length: int) -> None:
    assert answer(bytes(request())[:length], MAC, OWNED) is DropReason.TRUNCATED


@pytest.mark.parametrize("sender", ["192.0.2.100", "0.0.0.0"])
def test_own_announcements_and_probes_are_not_answered(sender: str) -> None:
    # Two interfaces on one link: the second receives what the first sends.
    ours = frozenset({MAC, bytes.fromhex(THEIRS.replace(":", ""))})
    frame = bytes(request(psrc=sender))
    assert answer(frame, MAC, OWNED, ours) is DropReason.OWN
    assert isinstance(answer(frame, MAC, OWNED, frozenset({MAC})), bytes)


def test_a_request_of_the_own_nodes_kernel_is_answered() -> None:
    ours = frozenset({bytes.fromhex(THEIRS.replace(":", ""))})
    assert answer(bytes(request()), MAC, OWNED, ours) == answer(bytes(request()), MAC, OWNED)


def test_nothing_is_answered_while_nothing_is_owned() -> None:
    assert answer(bytes(request()), MAC, frozenset()) is DropReason.ANNOUNCE_IP
