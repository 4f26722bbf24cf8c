"""The kernel's filter on our packet sockets: classic BPF, made from the owned addresses.

What it rejects never reaches the responder process. It may let through too much, never too
little: ``answer`` decides in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from operator import sub
from struct import Struct, unpack

MAX_RANGES = 64
"""With more separate ranges of addresses than this, neighbouring ones are taken together."""

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
# linux/if_packet.h; 0 is PACKET_HOST, and what is above these is not for us.
_BROADCAST_PACKET = 1
_MULTICAST_PACKET = 2
_WHOLE_FRAME = 0xFFFFFFFF


def arp_filter(owned: Iterable[bytes], max_ranges: int = MAX_RANGES) -> bytes:
    """Return a program that accepts the ARP requests for these packed IPv4 addresses.

    And the replies that claim one of them (RFC 5227 section 2.4). Only frames that were broadcast
    or sent to this interface: the kernel marks as foreign also those that belong to a VLAN that
    this interface is not in.
    """
    return b"".join(
        (
            *_require_at_most(_PACKET_TYPE, _BROADCAST_PACKET),
            *_require(_LOAD_HALF, 12, 0x0806),  # EtherType ARP
            *_require(_LOAD_WORD, 14, 0x0001_0800),  # Ethernet and IPv4
            # The lengths of these addresses, and "request" or "reply": of the one the target IP
            # counts, of the other the sender's.
            _instruction(_LOAD_WORD, 18),
            _instruction(_JUMP_EQUAL, 0x0604_0002, 4, 0),
            _instruction(_JUMP_EQUAL, 0x0604_0001, 1, 0),
            _reject(),
            _instruction(_LOAD_WORD, 38),
            _instruction(_JUMP_GREATER_EQUAL, 0, 1, 0),  # always: skip the other
            _instruction(_LOAD_WORD, 28),
            *_accept_ranges(owned, max_ranges),
            _reject(),
        )
    )


def solicitation_filter(owned: Iterable[bytes], max_ranges: int = MAX_RANGES) -> bytes:
    """Return a program that accepts the neighbor solicitations for these packed IPv6 addresses.

    And the advertisements that claim one of them. It looks at the last 32 bits of an address: those
    in which the addresses of a pool differ.
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
            _instruction(_LOAD_WORD, 74),  # the end of the target
            *_accept_ranges((address[12:] for address in owned), max_ranges),
            _reject(),
        )
    )


def ranges(numbers: Iterable[int], limit: int) -> tuple[tuple[int, int], ...]:
    """Return at most ``limit`` ascending ranges (first, last) that cover these numbers.

    Consecutive numbers share a range. Where that is not enough, the narrowest gaps are covered
    too, so that as few strangers as possible get in.
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
    """Assemble one instruction. The jumps count the instructions to skip."""
    return _INSTRUCTION.pack(code, if_true, if_false, operand)
