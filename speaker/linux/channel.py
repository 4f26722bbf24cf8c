"""The channel between the speaker and a helper process: messages of any size in bounded memory.

A message crosses the SOCK_SEQPACKET pair in parts that the kernel's buffers hold (a packet that is
larger than those fails with EMSGSIZE, one that is larger than the reader's buffer is cut). The
first byte of a part says whether more of the message follow. The speaker's end is in
``speaker.linux.subprocess``: what a helper process imports costs memory.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from typing import Final

from metallb_py.errors import LocalProtocolError

PART_LIMIT: Final = 1 << 15
"""No packet is longer, in bytes: a small part of what the kernel buffers in a socket pair."""

MESSAGE_LIMIT: Final = 8 << 20
"""No message is longer, in bytes."""

_PARTS_PER_TURN: Final = 64  # so many are read before others have their turn
_LAST: Final = b"\x00"
_MORE: Final = b"\x01"


class MessageTooLongError(LocalProtocolError):
    """A message exceeds the limit. Nothing of it was sent."""


class ChannelBrokenError(LocalProtocolError):
    """The other end sent what is no part of a message."""


def split(message: bytes) -> Iterator[bytes]:
    """Return the parts of a message. Raises MessageTooLongError."""
    if len(message) > MESSAGE_LIMIT:
        raise MessageTooLongError(f"{len(message)} bytes, and at most {MESSAGE_LIMIT} are allowed")
    return _split(message)


def _split(message: bytes) -> Iterator[bytes]:
    step = PART_LIMIT - 1
    start = 0
    while len(message) - start > step:
        yield _MORE + message[start : start + step]
        start += step
    yield _LAST + message[start:]


class Assembly:
    """Joins parts to messages."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> bytes | None:
        """Return the message that this part completes, if it does. Raises ChannelBrokenError."""
        kind, content = part[:1], part[1:]
        if kind not in (_LAST, _MORE):
            raise ChannelBrokenError(
                f"a part begins with {kind!r}, expected {_LAST!r} or {_MORE!r}"
            )
        self._size += len(content)
        if self._size > MESSAGE_LIMIT:
            raise ChannelBrokenError(f"a message exceeds {MESSAGE_LIMIT} bytes")
        self._parts.append(content)
        if kind == _MORE:
            return None
        message = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return message


class Channel:
    """A helper process' end, which never waits. At most one message is on its way out."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)
        self._control = control
        self._assembly = Assembly()
        self._leaving: deque[bytes] = deque()
        self.ended = False
        """Whether the speaker is gone."""

    def fileno(self) -> int:
        """Return the descriptor, to wait on."""
        return self._control.fileno()

    @property
    def is_busy(self) -> bool:
        """Whether a message was not sent to its end yet: ``flush`` tries again."""
        return bool(self._leaving)

    def receive(self) -> Iterator[bytes]:
        """Return what the speaker sent, message by message. Raises ChannelBrokenError."""
        for _ in range(_PARTS_PER_TURN):
            try:
                part = self._control.recv(PART_LIMIT)
            except BlockingIOError:
                return
            except ConnectionError:
                part = b""  # the speaker ended before it had read everything
            if not part:
                self.ended = True
                return
            message = self._assembly.add(part)
            if message is not None:
                yield message

    def send(self, message: bytes) -> bool:
        """Send a message; return False where the speaker has yet to read an earlier one.

        Raises MessageTooLongError.
        """
        parts = split(message)
        self.flush()
        if self._leaving:
            return False
        first = next(parts)
        if not self._send(first):
            return False
        self._leaving.extend(parts)
        self.flush()
        return True

    def flush(self) -> None:
        """Send on what is left of a message, as far as the speaker reads."""
        while self._leaving and self._send(self._leaving[0]):
            self._leaving.popleft()

    def _send(self, part: bytes) -> bool:
        try:
            self._control.send(part)
        except BlockingIOError:
            return False
        except OSError:
            self.ended = True
            self._leaving.clear()
            return False
        return True
