"""What is wrapped around messages: compound, compression, checksum, encryption, label.

A datagram is label(sealed(checksum(compressed(compound(messages))))), each layer only where it is
wanted. Memberlist takes compound and compression also the other way round; here each may be there
once around a message, compression once more inside a compound, and nothing deeper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Final
from zlib import crc32

from metallb_py.errors import LocalProtocolError, RemoteProtocolError
from metallb_py.protocols.memberlist.codec import decode
from metallb_py.protocols.memberlist.fields import DecodeError, OversizedError
from metallb_py.protocols.memberlist.messages import Kind, Message

PARTS_LIMIT: Final = 255
"""The most messages in a datagram."""
PART_LIMIT: Final = 65_535
"""The longest message in a compound, in bytes; and what a datagram may expand to."""


class Drop(StrEnum):
    """Why a datagram or a stream was dropped, as a word for counters."""

    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    UNAUTHENTICATED = "unauthenticated"
    REPLAYED = "replayed"
    LABEL = "label"
    CHECKSUM = "checksum"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"  # another member has this name


class EnvelopeError(RemoteProtocolError):
    """A datagram or a stream is to be dropped, whole. ``reason`` tells for counters why."""

    def __init__(self, message: str, reason: Drop) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a datagram held. ``flaws``: how many parts of it were lost as they could not be read."""

    messages: tuple[Message, ...]
    flaws: int = 0


_DATAGRAM_KINDS: Final = frozenset(
    {
        Kind.PING,
        Kind.INDIRECT_PING,
        Kind.ACK,
        Kind.SUSPECT,
        Kind.ALIVE,
        Kind.DEAD,
        Kind.USER,
        Kind.NACK,
    }
)


class Envelope:
    """Wraps and unwraps as a cluster's members have agreed."""

    __slots__ = ("overhead",)

    def __init__(self) -> None:
        self.overhead: Final = 7
        """The bytes that ``pack`` adds at most, besides two for each part."""

    def pack(self, parts: Sequence[bytes], checksum: bool = False) -> bytes:
        """Return one datagram of encoded messages. Raises LocalProtocolError if it can't hold them.

        ``checksum``: whether the other side understands version 5, which has them.
        """
        data = parts[0] if len(parts) == 1 else _compound(parts)
        if checksum:
            data = b"\x0c" + crc32(data).to_bytes(4) + data
        return data

    def unpack(self, datagram: bytes) -> Unpacked:
        """Read a datagram. Raises EnvelopeError; a flaw in a part of a compound is counted only."""
        data = _checked(datagram)
        if data[:1] == b"\x07":
            return self._split(data)
        return Unpacked((self._message(data),))

    def _split(self, data: bytes) -> Unpacked:
        parts, flaws = _parts(data)
        messages: list[Message] = []
        for part in parts:
            try:
                messages.append(self._message(part))
            except EnvelopeError:
                flaws += 1
        return Unpacked(tuple(messages), flaws)

    def _message(self, data: bytes) -> Message:
        if data and data[0] not in _DATAGRAM_KINDS:
            raise EnvelopeError(f"found kind {data[0]} in a datagram", Drop.UNKNOWN)
        try:
            return decode(data)
        except OversizedError as error:
            raise EnvelopeError(str(error), Drop.OVERSIZED) from error
        except DecodeError as error:
            raise EnvelopeError(str(error), Drop.MALFORMED) from error


def _compound(parts: Sequence[bytes]) -> bytes:
    if not 0 < len(parts) <= PARTS_LIMIT:
        raise LocalProtocolError(f"found {len(parts)} parts, want 1 to {PARTS_LIMIT}")
    if max(map(len, parts)) > PART_LIMIT:
        raise LocalProtocolError(f"found a part of more than {PART_LIMIT} bytes")
    lengths = b"".join(len(part).to_bytes(2) for part in parts)
    return b"\x07" + bytes((len(parts),)) + lengths + b"".join(parts)


def _parts(data: bytes) -> tuple[list[bytes], int]:
    """Return a compound's whole parts, and the number of flaws: parts cut off, and bytes left."""
    count = data[1] if len(data) > 1 else 0
    start = 2 + 2 * count
    if not count or len(data) < start:
        raise EnvelopeError("compound: ends before its parts do", Drop.MALFORMED)
    lengths = (int.from_bytes(data[at : at + 2]) for at in range(2, start, 2))
    bounds = pairwise(accumulate(lengths, initial=start))
    parts = [data[begin:end] for begin, end in bounds if end <= len(data)]
    left_over = len(parts) == count and start + sum(map(len, parts)) < len(data)
    return parts, count - len(parts) + left_over


def _checked(data: bytes) -> bytes:
    """Return what a checksum covers, if there is one."""
    if data[:1] != b"\x0c":
        return data
    if len(data) < 5:
        raise EnvelopeError("checksum: ends early", Drop.MALFORMED)
    covered = data[5:]
    if crc32(covered) != int.from_bytes(data[1:5]):
        raise EnvelopeError("checksum: wrong", Drop.CHECKSUM)
    return covered
