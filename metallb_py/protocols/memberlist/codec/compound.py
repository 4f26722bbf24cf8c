"""Messages side by side in one: a type byte, their number, their lengths, and they themselves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec.messages import Kind
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError

HEAD: Final = 2
"""The bytes in front of the lengths, of which there are two for each part."""
PARTS_LIMIT: Final = 255
"""The most parts."""
PART_LIMIT: Final = 65_535
"""The longest part, in bytes."""


def join(parts: Sequence[bytes]) -> bytes:
    """Return a compound. Raises LocalProtocolError for parts that are too many or too long."""
    if not 0 < len(parts) <= PARTS_LIMIT:
        raise LocalProtocolError(f"found {len(parts)} parts, want 1 to {PARTS_LIMIT}")
    if max(map(len, parts)) > PART_LIMIT:
        raise LocalProtocolError(f"found a part of more than {PART_LIMIT} bytes")
    lengths = b"".join([len(part).to_bytes(2) for part in parts])
    return b"".join((bytes((Kind.COMPOUND, len(parts))), lengths, *parts))


def split(data: bytes) -> tuple[list[bytes], int]:
    """Return the parts that are whole, and how many are not, with one for bytes that are left over.

    Raises DecodeError where the lengths are not all there.
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
