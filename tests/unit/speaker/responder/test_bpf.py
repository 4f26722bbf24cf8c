"""BPF filters, run by an independent interpreter that follows the kernel's documentation."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from speaker.responder.bpf import arp_filter, ranges, solicitation_filter

HOST, BROADCAST, MULTICAST, OTHERHOST, OUTGOING = range(5)
LONGEST_PROGRAM = 4096  # BPF_MAXINSNS


def accepts(program: bytes, frame: bytes, packet_type: int = BROADCAST) -> bool:
    """Run a classic BPF program by the rules in the kernel's documentation (networking/filter)."""
    instructions = list(struct.iter_unpack("=HBBI", program))
    assert len(instructions) <= LONGEST_PROGRAM
    accumulator = position = 0
    while True:
        code, if_true, if_false, operand = instructions[position]
        position += 1
        match code:
            case 0x20 | 0x28 | 0x30:  # ld, ldh, ldb
                if operand == 0xFFFFF004:  # SKF_AD_OFF + SKF_AD_PKTTYPE
                    accumulator = packet_type
                    continue
                size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
                if operand + size > len(frame):
                    return False
                accumulator = int.from_bytes(frame[operand : operand + size])
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x25:
                position += if_true if accumulator > operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand > 0
            case _:
                pytest.fail(f"instruction {code:#x}")


def packed(*texts: str) -> list[bytes]:
    return [IPv4Address(text).packed for text in texts]


def request(target: str, **fields: object) -> Packet:
    return Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:02") / ARP(
        **({"op": 1, "psrc": "192.0.2.2", "pdst": target} | fields)
    )


def test_arp_filter_accepts_requests_for_owned_addresses_only() -> None:
    owned = packed("10.0.0.1", "192.0.2.7", "192.0.2.8", "192.0.2.9", "255.255.255.255", "0.0.0.0")
    program = arp_filter(owned)

    for text in ("10.0.0.1", "192.0.2.7", "192.0.2.8", "192.0.2.9", "255.255.255.255", "0.0.0.0"):
        assert accepts(program, bytes(request(text))), text
    for text in ("10.0.0.0", "10.0.0.2", "192.0.2.6", "192.0.2.10", "255.255.255.254", "0.0.0.1"):
        assert not accepts(program, bytes(request(text))), text


def test_arp_filter_without_addresses_accepts_nothing() -> None:
    assert not accepts(arp_filter(()), bytes(request("0.0.0.0")))


@pytest.mark.parametrize(
    ("packet_type", "accepted"),
    [(HOST, True), (BROADCAST, True), (MULTICAST, False), (OTHERHOST, False), (OUTGOING, False)],
)
def test_arp_filter_accepts_unicast_to_the_host_and_broadcast_only(
    packet_type: int, accepted: bool
) -> None:
    program = arp_filter(packed("192.0.2.7"))
    assert accepts(program, bytes(request("192.0.2.7")), packet_type) is accepted


@pytest.mark.parametrize(
    "frame",
    [
        request("192.0.2.7", op=2),  # a reply, about another address
        request("192.0.2.7", op=3),
        request("192.0.2.7", plen=16),
        request("192.0.2.7", ptype=0x86DD),
        Ether() / Dot1Q(vlan=5) / ARP(pdst="192.0.2.7"),
        Ether(dst="ff:ff:ff:ff:ff:ff") / IP(dst="192.0.2.7"),
    ],
    ids=["reply", "operation", "protocol length", "protocol type", "tag", "IP"],
)
def test_arp_filter_rejects_other_frames(frame: Packet) -> None:
    assert not accepts(arp_filter(packed("192.0.2.7")), bytes(frame))


def test_arp_filter_accepts_replies_with_an_owned_sender_address() -> None:
    program = arp_filter(packed("192.0.2.7", "192.0.2.9"))
    for text in ("192.0.2.7", "192.0.2.9"):
        assert accepts(program, bytes(request("192.0.2.1", op=2, psrc=text)), HOST)
    assert not accepts(program, bytes(request("192.0.2.1", op=2, psrc="192.0.2.8")), HOST)


@pytest.mark.parametrize("length", range(42))
def test_arp_filter_rejects_truncated_frames(length: int) -> None:
    assert not accepts(arp_filter(packed("192.0.2.7")), bytes(request("192.0.2.7"))[:length])


def test_arp_filter_beyond_its_limit_still_accepts_every_owned_address() -> None:
    owned = [(0x0A000000 + 3 * i).to_bytes(4) for i in range(1000)]
    program = arp_filter(owned)

    request_up_to_target = bytes(request("0.0.0.0"))[:-4]
    assert all(accepts(program, request_up_to_target + address) for address in owned)
    assert not accepts(program, bytes(request("9.255.255.255")))
    assert not accepts(program, bytes(request("10.0.11.182")))


@pytest.mark.parametrize(
    ("numbers", "limit", "expected"),
    [
        ([], 3, ()),
        ([5], 3, ((5, 5),)),
        ([7, 5, 6, 5], 3, ((5, 7),)),
        ([1, 3, 10, 11, 20], 9, ((1, 1), (3, 3), (10, 11), (20, 20))),
        ([1, 3, 10, 11, 20], 3, ((1, 3), (10, 11), (20, 20))),
        ([1, 3, 10, 11, 20], 2, ((1, 11), (20, 20))),
        ([1, 3, 10, 11, 20], 1, ((1, 20),)),
    ],
)
def test_ranges_cover_all_numbers_within_the_limit(
    numbers: list[int], limit: int, expected: tuple[tuple[int, int], ...]
) -> None:
    assert ranges(numbers, limit) == expected


def solicitation(target: str, **fields: object) -> Packet:
    outer = IPv6(**({"src": "fe80::2", "dst": "ff02::1:ff00:7", "hlim": 255} | fields))
    return Ether(dst="33:33:ff:00:00:07") / outer / ICMPv6ND_NS(tgt=target)


def test_solicitation_filter_accepts_owned_targets_only() -> None:
    program = solicitation_filter(
        IPv6Address(text).packed for text in ("2001:db8::7", "2001:db8::8", "2001:db8::ffff")
    )

    for text in ("2001:db8::7", "2001:db8::8", "2001:db8::ffff"):
        assert accepts(program, bytes(solicitation(text)), MULTICAST), text
        assert accepts(program, bytes(solicitation(text)), HOST), text
        assert not accepts(program, bytes(solicitation(text)), OTHERHOST), text
    for text in ("2001:db8::6", "2001:db8::9", "2001:db8::1:7"):
        assert not accepts(program, bytes(solicitation(text)), MULTICAST), text


@pytest.mark.parametrize(
    "frame",
    [
        solicitation("2001:db8::7", hlim=254),
        Ether() / IPv6(hlim=255) / ICMPv6ND_NA(tgt="2001:db8::8"),
        Ether() / IPv6(hlim=255) / ICMPv6ND_RS(),
        Ether() / IPv6(dst="2001:db8::7", hlim=255) / ICMPv6EchoRequest(data=bytes(20)),
        request("192.0.2.7"),
    ],
    ids=["hop limit", "advertisement", "router", "echo", "ARP"],
)
def test_solicitation_filter_rejects_other_frames(frame: Packet) -> None:
    program = solicitation_filter([IPv6Address("2001:db8::7").packed])
    assert not accepts(program, bytes(frame), MULTICAST)


def test_solicitation_filter_accepts_advertisements_of_owned_targets() -> None:
    advertisement = Ether() / IPv6(hlim=255) / ICMPv6ND_NA(tgt="2001:db8::7")
    program = solicitation_filter([IPv6Address("2001:db8::7").packed])
    assert accepts(program, bytes(advertisement), MULTICAST)
