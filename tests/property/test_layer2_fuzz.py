"""Fuzzing of the ARP and NDP parsers: no exception, no wrong answer, no growth in memory.

``METALLB_PY_FUZZ_FRAMES=1000000`` takes some minutes; ``METALLB_PY_FUZZ_SEED`` repeats a run.
"""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from ipaddress import IPv4Address, IPv6Address
from random import Random

from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from support.layer2.frame_fuzz import Fuzzer

from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.arp import DropReason, answer
from speaker.responder.ndp import answer_solicitation

FRAMES = int(os.environ.get("METALLB_PY_FUZZ_FRAMES", "20000"))
SEED = int(os.environ.get("METALLB_PY_FUZZ_SEED", time.time_ns()))
CHECKED = max(1, FRAMES // 5000)  # scapy is slow
VIP, VIP6 = "192.0.2.100", "2001:db8::64"
OURS = "02:00:00:00:00:01"
MAC = MacAddress(bytes.fromhex(OURS.replace(":", "")))
OWNED = frozenset({IPv4Address(VIP).packed, IPv6Address(VIP6).packed})
V4, V6 = IPv4Address(VIP).packed, IPv6Address(VIP6).packed


def check_arp(frame: bytes, reply: bytes) -> None:
    """Compare a reply with the request as decoded by scapy."""
    received = Ether(frame)
    assert received.dst in (OURS, "ff:ff:ff:ff:ff:ff")
    assert Dot1Q not in received or received[Dot1Q].vlan == 0
    request, sent = received[ARP], Ether(reply)
    assert (request.hwtype, request.ptype, request.op, request.pdst) == (1, 0x0800, 1, VIP)
    assert (sent.src, sent.dst, len(reply)) == (OURS, request.hwsrc, 42)
    found = sent[ARP]
    assert (found.op, found.hwsrc, found.psrc) == (2, OURS, VIP)
    assert (found.hwdst, found.pdst) == (request.hwsrc, request.psrc)


def check_advertisement(frame: bytes, reply: bytes) -> None:
    """Compare an advertisement with the solicitation as decoded by scapy."""
    received, sent = Ether(frame), Ether(reply)
    assert (received[IPv6].hlim, received[ICMPv6ND_NS].tgt) == (255, VIP6)
    assert (sent.src, sent[IPv6].src, sent[ICMPv6ND_NA].tgt) == (OURS, VIP6, VIP6)
    is_dad = received[IPv6].src == "::"
    solicited = bool(sent[ICMPv6ND_NA].S)
    assert sent[IPv6].dst == ("ff02::1" if is_dad else received[IPv6].src)
    assert solicited is not is_dad
    checksum = sent[ICMPv6ND_NA].cksum
    del sent[ICMPv6ND_NA].cksum
    assert Ether(bytes(sent))[ICMPv6ND_NA].cksum == checksum


def run(fuzzer: Fuzzer, count: int) -> tuple[int, int]:
    """Answer ``count`` frames; return the number of ARP replies and of advertisements."""
    replies = solicited = 0
    for _ in range(count):
        frame = fuzzer.frame()
        reply = answer(frame, MAC, OWNED)
        if not isinstance(reply, DropReason):
            assert reply[28:32] == V4
            assert reply[:6] == reply[32:38]
            assert not reply[0] & 1
            replies += 1
            if replies % CHECKED == 0:
                check_arp(frame, reply)
        advertisement = answer_solicitation(frame, MAC, OWNED)
        if not isinstance(advertisement, DropReason):
            assert advertisement[62:78] == advertisement[22:38] == V6
            assert not advertisement[0] & 1 or advertisement[:6] == bytes.fromhex("333300000001")
            solicited += 1
            if solicited % CHECKED == 0:
                check_advertisement(frame, advertisement)
    return replies, solicited


def test_fuzzed_arp_and_ndp_frames_get_correct_answers_or_none() -> None:
    print(f"METALLB_PY_FUZZ_SEED={SEED}")
    fuzzer = Fuzzer(Random(SEED), OURS, VIP, VIP6)
    run(fuzzer, 1000)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        replies, solicited = run(fuzzer, FRAMES)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Both valid and invalid frames must have occurred.
    assert FRAMES * 0.02 < replies < FRAMES / 2
    assert FRAMES * 0.02 < solicited < FRAMES / 2
    assert after - before < 256 * 1024
