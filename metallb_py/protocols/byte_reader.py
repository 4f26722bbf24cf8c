"""A bounds-checked reader of untrusted bytes in network order."""

from __future__ import annotations

from enum import StrEnum

from metallb_py.errors import RemoteProtocolError


class Flaw(StrEnum):
    """What is wrong with a frame or packet, as far as it is worth counting apart."""

    TRUNCATED = "Truncated"
    ADDRESS_KINDS = "AddressKinds"
    HOP_LIMIT = "HopLimit"
    CHECKSUM = "Checksum"
    MALFORMED = "Malformed"  # anything else


class FlawedError(RemoteProtocolError):
    """These bytes are not what they should be. ``flaw`` tells for counters what the message tells.

    Each decoder raises a subclass of its own.
    """

    def __init__(self, message: str, flaw: Flaw = Flaw.MALFORMED) -> None:
        super().__init__(message)
        self.flaw = flaw


class TruncatedError(RemoteProtocolError):
    """The data ended before the field did. Nothing was consumed."""


class Reader:
    """Reads fields from left to right. Raises TruncatedError, and only that."""

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
        """Read whatever is left, possibly nothing."""
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
