"""Decoding of sent bytes and of effects into BGP messages.

Short: what both the tests of one session and those of its connections need.
"""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.protocols.bgp.codec.framing import FrameReader
from metallb_py.protocols.bgp.codec.messages import Message, decode
from metallb_py.protocols.bgp.effects import Send


def messages(data: bytes, *, four_octet: bool = True) -> list[Message]:
    """Return the messages; an incomplete one at the end is left out."""
    reader = FrameReader()
    reader.feed(data)
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(decode(frame, four_octet=four_octet))
    return found


def sent(effects: Iterable[object], *, four_octet: bool = True) -> list[Message]:
    """Return the messages that the ``Send`` effects among these carry."""
    data = b"".join(effect.data for effect in effects if isinstance(effect, Send))
    return messages(data, four_octet=four_octet)
