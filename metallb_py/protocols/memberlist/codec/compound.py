"""Compound messages: type, number of parts, lengths, parts; short: one layer of the format."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec.messages import Kind
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError

HEAD: Final = 2
"""Bytes before the lengths. Each length has two."""
PARTS_LIMIT: Final = 255
"""Most parts in a compound."""
PART_LIMIT: Final = 65_535
"""Most bytes in a part."""


def join(parts: Sequence[bytes]) -> bytes:
    """Return a compound of parts. Raises LocalProtocolError if they are too many or too long."""
    if not 0 < len(parts) <= PARTS_LIMIT:
        raise LocalProtocolError(f"found {len(parts)} parts, want 1 to {PARTS_LIMIT}")
    if max(map(len, parts)) > PART_LIMIT:
        raise LocalProtocolError(f"found a part of more than {PART_LIMIT} bytes")
    lengths = b"".join([len(part).to_bytes(2) for part in parts])
    return b"".join((bytes((Kind.COMPOUND, len(parts))), lengths, *parts))


def split(data: bytes) -> tuple[list[bytes], int]:
    """Return the complete parts, and the number of flaws: truncated parts, and bytes left over.

    Raises DecodeError if the lengths are truncated.
    """
    count = data[1] if len(data) > 1 else 0
    start = HEAD + 2 * count
    if not count or len(data) < start:
        raise DecodeError(f"found {len(data)} bytes, want a list of parts")
    lengths = [int.from_bytes(data[at : at + 2]) for at in range(HEAD, start, 2)]
    bounds = pairwise(accumulate(lengths, initial=start))
    parts = [data[begin:end] for begin, end in bounds if end <= len(data)]
    left_over = start + sum(lengths) < len(data)
    return parts, count - len(parts) + left_over
