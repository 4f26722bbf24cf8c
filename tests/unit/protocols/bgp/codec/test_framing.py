from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.codec.codes import BgpError, MessageType
from metallb_py.protocols.bgp.codec.framing import Frame, FrameReader, frame

MARKER = b"\xff" * 16
KEEPALIVE = MARKER + b"\0\x13\x04"


def test_a_message_arrives_byte_by_byte() -> None:
    reader = FrameReader()

    for byte in KEEPALIVE[:-1]:
        reader.feed(bytes((byte,)))
        assert reader.next_frame() is None
    reader.feed(KEEPALIVE[-1:])

    assert reader.next_frame() == Frame(MessageType.KEEPALIVE, b"")
    assert reader.next_frame() is None


def test_several_messages_arrive_at_once() -> None:
    reader = FrameReader()
    reader.feed(KEEPALIVE + frame(MessageType.NOTIFICATION, b"\6\2") + KEEPALIVE[:5])

    assert reader.next_frame() == Frame(MessageType.KEEPALIVE, b"")
    assert reader.next_frame() == Frame(MessageType.NOTIFICATION, b"\6\2")
    assert reader.next_frame() is None


@pytest.mark.parametrize(
    ("header", "subcode", "data"),
    [
        (b"\xff" * 15 + b"\xfe" + b"\0\x13\x04", 1, b""),
        (MARKER + b"\0\x12\x04", 2, b"\0\x12"),  # shorter than a header
        (MARKER + b"\0\x14\x04", 2, b"\0\x14"),  # a KEEPALIVE with a body
        (MARKER + b"\0\x1c\x01", 2, b"\0\x1c"),  # an OPEN too short
        (MARKER + b"\0\x16\x02", 2, b"\0\x16"),  # an UPDATE too short
        (MARKER + b"\0\x14\x03", 2, b"\0\x14"),  # a NOTIFICATION too short
        (MARKER + b"\x10\x01\x02", 2, b"\x10\x01"),  # longer than 4096
        (MARKER + b"\0\x13\x09", 3, b"\x09"),
        (MARKER + b"\0\x13\x00", 3, b"\x00"),
    ],
)
def test_malformed_header_raises_the_header_error_of_rfc_4271(
    header: bytes, subcode: int, data: bytes
) -> None:
    reader = FrameReader()
    reader.feed(header)

    with pytest.raises(BgpError) as caught:
        reader.next_frame()
    assert (caught.value.code, caught.value.subcode, caught.value.data) == (1, subcode, data)


def test_messages_before_a_malformed_header_are_returned() -> None:
    reader = FrameReader()
    reader.feed(KEEPALIVE + b"\0" * 19)

    assert reader.next_frame() == Frame(MessageType.KEEPALIVE, b"")
    with pytest.raises(BgpError):
        reader.next_frame()
