"""Cuts the byte stream of a TCP connection into BGP messages (RFC 4271 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode, HeaderError, MessageType

MARKER = b"\xff" * 16
HEADER_LENGTH = 19
MAX_LENGTH = 4096
MAX_EXTENDED_LENGTH = 65535
"""Where both sides agreed to it, of all messages but OPEN and KEEPALIVE (RFC 8654)."""

_MIN_LENGTH = {
    MessageType.OPEN: 29,
    MessageType.UPDATE: 23,
    MessageType.NOTIFICATION: 21,
    MessageType.KEEPALIVE: 19,
    MessageType.ROUTE_REFRESH: HEADER_LENGTH,  # too short a body has an error of its own: RFC 7313
}

_MAX_LENGTH = {MessageType.OPEN: MAX_LENGTH, MessageType.KEEPALIVE: HEADER_LENGTH}
"""Of the messages whose length nobody can extend."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, cut out but not understood yet."""

    type: MessageType
    body: bytes


def frame(kind: MessageType, body: bytes) -> bytes:
    """Put a header before a message's body. Raises LocalProtocolError if no header can."""
    length = HEADER_LENGTH + len(body)
    if length > MAX_EXTENDED_LENGTH:
        raise LocalProtocolError(f"{kind.name} message of {length} bytes")
    return MARKER + length.to_bytes(2) + bytes((kind,)) + body


class FrameReader:
    """Takes bytes as they arrive and gives whole messages.

    ``max_length`` is what a message may take from now on. After an error the stream has no meaning
    any more: the connection is to be closed.
    """

    __slots__ = ("_buffer", "max_length")

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._buffer = bytearray()
        self.max_length = max_length

    def feed(self, data: bytes) -> None:
        """Add bytes that the connection delivered."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next whole message, or None until more bytes have come.

        Raises BgpError as soon as a header cannot be right, without waiting for its body.
        """
        if len(self._buffer) < HEADER_LENGTH:
            return None
        length = _checked_length(self._buffer, self.max_length)
        if len(self._buffer) < length:
            return None
        whole = Frame(MessageType(self._buffer[18]), bytes(self._buffer[HEADER_LENGTH:length]))
        del self._buffer[:length]
        return whole


def _checked_length(header: bytearray, limit: int) -> int:
    if header[:16] != MARKER:
        raise BgpError(
            "message marker is not all ones",
            ErrorCode.MESSAGE_HEADER,
            HeaderError.NOT_SYNCHRONIZED,
        )
    length, kind = int.from_bytes(header[16:18]), header[18]
    if kind not in _MIN_LENGTH:
        raise BgpError(
            f"unknown message type {kind}",
            ErrorCode.MESSAGE_HEADER,
            HeaderError.BAD_TYPE,
            bytes((kind,)),
        )
    minimum = _MIN_LENGTH[MessageType(kind)]
    maximum = _MAX_LENGTH.get(MessageType(kind), limit)
    if not minimum <= length <= maximum:
        raise BgpError(
            f"{MessageType(kind).name} message: found length {length}, want {minimum} to {maximum}",
            ErrorCode.MESSAGE_HEADER,
            HeaderError.BAD_LENGTH,
            bytes(header[16:18]),
        )
    return length
