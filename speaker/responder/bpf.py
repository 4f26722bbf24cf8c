"""Classic BPF programs for the packet sockets, generated from the owned addresses.

Frames that a program rejects never reach the responder process. A program may accept frames that
need no reply, but never reject one that needs a reply: ``answer`` makes the final decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from operator import sub
from struct import Struct, unpack

MAX_RANGES = 64
"""Number of address ranges in a program; with more, neighbouring ranges are merged."""

# struct sock_filter of linux/filter.h, in the byte order of this machine.
_INSTRUCTION = Struct("=HBBI")

# Instruction codes: linux/bpf_common.h.
_LOAD_BYTE = 0x30  # BPF_LD | BPF_B | BPF_ABS
_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_LOAD_HALF = 0x28  # BPF_LD | BPF_H | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_JUMP_GREATER_EQUAL = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
# linux/if_packet.h; 0 is PACKET_HOST, and higher values mark frames for other hosts.
_BROADCAST_PACKET = 1
_MULTICAST_PACKET = 2
_WHOLE_FRAME = 0xFFFFFFFF


def arp_filter(owned: Iterable[bytes], max_ranges: int = MAX_RANGES) -> bytes:
    """Return a program that accepts ARP requests for these packed IPv4 addresses.

    It also accepts replies whose sender address is one of them, for conflict detection (RFC 5227
    section 2.4). Only frames that were broadcast or sent to this interface are accepted: the
    kernel also marks frames of a VLAN that this interface is not in as for another host.
    """
    return b"".join(
        (
            *_require_at_most(_PACKET_TYPE, _BROADCAST_PACKET),
            *_require(_LOAD_HALF, 12, 0x0806),  # EtherType ARP
            *_require(_LOAD_WORD, 14, 0x0001_0800),  # Ethernet and IPv4
            # Address lengths and operation: a request is matched by its target IP, a reply by its
            # sender IP.
            _instruction(_LOAD_WORD, 18),
            _instruction(_JUMP_EQUAL, 0x0604_0002, 4, 0),
            _instruction(_JUMP_EQUAL, 0x0604_0001, 1, 0),
            _reject(),
            _instruction(_LOAD_WORD, 38),
            _instruction(_JUMP_GREATER_EQUAL, 0, 1, 0),  # always true: skip the next load
            _instruction(_LOAD_WORD, 28),
            *_accept_ranges(owned, max_ranges),
            _reject(),
        )
    )


def solicitation_filter(owned: Iterable[bytes], max_ranges: int = MAX_RANGES) -> bytes:
    """Return a program that accepts neighbor solicitations for these packed IPv6 addresses.

    It also accepts advertisements for one of them, for conflict detection. It compares the last
    32 bits of an address: those in which the addresses of a pool differ.
    """
    return b"".join(
        (
            *_require_at_most(_PACKET_TYPE, _MULTICAST_PACKET),
            *_require(_LOAD_HALF, 12, 0x86DD),  # EtherType IPv6
            *_require(_LOAD_HALF, 20, 0x3AFF),  # ICMPv6, with a hop limit of 255
            _instruction(_LOAD_BYTE, 54),
            _instruction(_JUMP_EQUAL, 135, 2, 0),  # neighbor solicitation
            _instruction(_JUMP_EQUAL, 136, 1, 0),  # neighbor advertisement
            _reject(),
            _instruction(_LOAD_WORD, 74),  # the last 32 bits of the target
            *_accept_ranges((address[12:] for address in owned), max_ranges),
            _reject(),
        )
    )


def ranges(numbers: Iterable[int], limit: int) -> tuple[tuple[int, int], ...]:
    """Return at most ``limit`` ascending ranges (first, last) that cover these numbers.

    Consecutive numbers share a range. If that leaves more than ``limit`` ranges, the narrowest gaps
    are covered too, so that as few other numbers as possible are included.
    """
    ordered = sorted(set(numbers))
    if not ordered:
        return ()
    steps = list(map(sub, ordered[1:], ordered))
    widest = nlargest(limit - 1, range(len(steps)), key=steps.__getitem__)
    ends = sorted(index for index in widest if steps[index] > 1)
    firsts = (ordered[0], *(ordered[index + 1] for index in ends))
    lasts = (*(ordered[index] for index in ends), ordered[-1])
    return tuple(zip(firsts, lasts, strict=True))


def _accept_ranges(owned: Iterable[bytes], max_ranges: int) -> Iterator[bytes]:
    packed = b"".join(owned)
    numbers = unpack(f"!{len(packed) // 4}I", packed)
    for first, last in ranges(numbers, max_ranges):
        yield _instruction(_JUMP_GREATER_EQUAL, first, 0, 2)
        yield _instruction(_JUMP_GREATER, last, 1, 0)
        yield _accept()


def _require_at_most(offset: int, value: int) -> tuple[bytes, ...]:
    return (
        _instruction(_LOAD_BYTE, offset),
        _instruction(_JUMP_GREATER, value, 0, 1),
        _reject(),
    )


def _require(load: int, offset: int, value: int) -> tuple[bytes, ...]:
    return (
        _instruction(load, offset),
        _instruction(_JUMP_EQUAL, value, 1, 0),
        _reject(),
    )


def _accept() -> bytes:
    return _instruction(_RETURN, _WHOLE_FRAME)


def _reject() -> bytes:
    return _instruction(_RETURN, 0)


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Assemble one instruction. Jump offsets count the instructions to skip."""
    return _INSTRUCTION.pack(code, if_true, if_false, operand)
