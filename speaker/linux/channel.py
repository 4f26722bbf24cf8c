"""Channel between the speaker and a worker process: messages of any size in bounded memory.

A message crosses the SOCK_SEQPACKET pair in parts that fit the kernel's buffers (sending a larger
packet fails with EMSGSIZE; a packet larger than the reader's buffer is truncated). The first byte
of a part states whether more parts of the message follow. The speaker's end is in
``speaker.linux.worker_process``, apart from this, because every import of a worker process costs
memory.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from typing import Final

from metallb_py.errors import LocalProtocolError

PART_LIMIT: Final = 1 << 15
"""Maximum size of a packet, in bytes: a small part of the kernel's buffer for a socket pair."""

MESSAGE_LIMIT: Final = 8 << 20
"""Maximum size of a message, in bytes."""

_PARTS_PER_TURN: Final = 64  # parts that are read before other descriptors are served
_LAST: Final = b"\x00"
_MORE: Final = b"\x01"


class MessageTooLongError(LocalProtocolError):
    """A message exceeds the limit. Nothing of it was sent."""


class ChannelBusyError(LocalProtocolError):
    """The speaker has not read the previous message. Nothing of the new one was sent."""


class ChannelBrokenError(LocalProtocolError):
    """The other end sent data that is no part of a message, or too long a message."""


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
    """Reassembly of messages from parts."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> bytes | None:
        """Return the message that this part completes, if any. Raises ChannelBrokenError."""
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
    """A worker process' end, which never blocks. At most one outgoing message is queued."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)
        self._control = control
        self._assembly = Assembly()
        self._outgoing: deque[bytes] = deque()
        self.ended = False
        """Whether the speaker closed its end."""

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._control.fileno()

    @property
    def is_busy(self) -> bool:
        """Whether a part of a message is still to be sent: ``flush`` retries."""
        return bool(self._outgoing)

    def receive(self) -> Iterator[bytes]:
        """Yield the messages that the speaker sent. Raises ChannelBrokenError."""
        for _ in range(_PARTS_PER_TURN):
            try:
                part = self._control.recv(PART_LIMIT)
            except BlockingIOError:
                return
            except ConnectionError:
                part = b""  # the speaker ended before it had read all messages
            if not part:
                self.ended = True
                return
            message = self._assembly.add(part)
            if message is not None:
                yield message

    def send(self, message: bytes) -> None:
        """Send a message, or queue what the socket's buffer does not take; ``flush`` sends that.

        Raises ChannelBusyError while ``is_busy``, and MessageTooLongError.
        """
        if self._outgoing:
            raise ChannelBusyError("the previous message is still queued")
        self._outgoing.extend(split(message))
        self.flush()

    def flush(self) -> None:
        """Send the remaining parts of a message, until the socket's buffer is full."""
        while self._outgoing and self._send(self._outgoing[0]):
            self._outgoing.popleft()

    def _send(self, part: bytes) -> bool:
        try:
            self._control.send(part)
        except BlockingIOError:
            return False
        except OSError:
            self.ended = True
            self._outgoing.clear()
            return False
        return True
