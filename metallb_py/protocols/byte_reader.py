"""A bounds-checked reader of untrusted bytes in network order."""

from __future__ import annotations

from enum import StrEnum

from metallb_py.errors import RemoteProtocolError


class Malformation(StrEnum):
    """Kinds of malformation that are counted separately."""

    TRUNCATED = "Truncated"
    ADDRESS_KINDS = "AddressKinds"
    HOP_LIMIT = "HopLimit"
    CHECKSUM = "Checksum"
    MALFORMED = "Malformed"  # anything else


class MalformedError(RemoteProtocolError):
    """The bytes are not a valid frame or packet.

    ``malformation`` is its kind, for counters; the message describes it. Each decoder raises a
    subclass of its own.
    """

    def __init__(self, message: str, malformation: Malformation = Malformation.MALFORMED) -> None:
        super().__init__(message)
        self.malformation = malformation


class TruncatedError(RemoteProtocolError):
    """The data ended before the field did. No bytes were consumed."""


class Reader:
    """Reader of fields from left to right. Raises TruncatedError and nothing else."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def remaining(self) -> int:
        """The number of bytes not yet read."""
        return len(self._data) - self._position

    def take(self, length: int) -> bytes:
        """Read this many bytes."""
        end = self._position + length
        if end > len(self._data):
            raise TruncatedError(f"data ends early: found {self.remaining} bytes, want {length}")
        field = self._data[self._position : end]
        self._position = end
        return field

    def rest(self) -> bytes:
        """Read the remaining bytes, possibly none."""
        return self.take(self.remaining)

    def u8(self) -> int:
        """Read an unsigned byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Read an unsigned 16-bit number."""
        return int.from_bytes(self.take(2))

    def u32(self) -> int:
        """Read an unsigned 32-bit number."""
        return int.from_bytes(self.take(4))
