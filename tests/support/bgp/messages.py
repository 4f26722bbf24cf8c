"""Decoding of sent bytes into BGP messages."""

from __future__ import annotations

from metallb_py.protocols.bgp.codec.framing import FrameReader
from metallb_py.protocols.bgp.codec.messages import Message, decode


def messages(data: bytes, *, four_octet: bool = True) -> list[Message]:
    """Return the messages; an incomplete one at the end is left out."""
    reader = FrameReader()
    reader.feed(data)
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(decode(frame, four_octet=four_octet))
    return found
