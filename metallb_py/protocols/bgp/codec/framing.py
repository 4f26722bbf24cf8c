"""Framing of BGP messages in the byte stream of a TCP connection (RFC 4271 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode, HeaderError, MessageType

MARKER = b"\xff" * 16
HEADER_LENGTH = 19
MAX_LENGTH = 4096
MAX_EXTENDED_LENGTH = 65535
"""Most bytes of a message other than OPEN and KEEPALIVE, where both sides agreed (RFC 8654)."""

_MIN_LENGTH = {
    MessageType.OPEN: 29,
    MessageType.UPDATE: 23,
    MessageType.NOTIFICATION: 21,
    MessageType.KEEPALIVE: 19,
    MessageType.ROUTE_REFRESH: HEADER_LENGTH,  # RFC 7313 has its own error for a short body
}

_MAX_LENGTH = {MessageType.OPEN: MAX_LENGTH, MessageType.KEEPALIVE: HEADER_LENGTH}
"""Limits of the messages to which the extended message capability does not apply."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Type and body of one message, not decoded yet."""

    type: MessageType
    body: bytes


def frame(kind: MessageType, body: bytes) -> bytes:
    """Return the body after its message header. Raises LocalProtocolError if it is too long."""
    length = HEADER_LENGTH + len(body)
    if length > MAX_EXTENDED_LENGTH:
        raise LocalProtocolError(f"{kind.name} message of {length} bytes")
    return MARKER + length.to_bytes(2) + bytes((kind,)) + body


class FrameReader:
    """Buffer that takes received bytes and returns complete messages.

    ``max_length`` is the most bytes of a message and may be changed at any time. After an error the
    rest of the stream cannot be decoded: the connection must be closed.
    """

    __slots__ = ("_buffer", "max_length")

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._buffer = bytearray()
        self.max_length = max_length

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next complete message, or None until more bytes are received.

        Raises BgpError for an invalid header, without waiting for the message's body.
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
