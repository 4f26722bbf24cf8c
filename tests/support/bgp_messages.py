"""BGP messages in bytes that were sent."""

from __future__ import annotations

from metallb_py.protocols.bgp.codec.framing import FrameReader
from metallb_py.protocols.bgp.codec.messages import Message, decode


def messages(data: bytes, *, four_octet: bool = True) -> list[Message]:
    """Return the messages; what is not a whole one in the end is left out."""
    reader = FrameReader()
    reader.feed(data)
    found = []
    while (cut := reader.next_frame()) is not None:
        found.append(decode(cut, four_octet=four_octet))
    return found
