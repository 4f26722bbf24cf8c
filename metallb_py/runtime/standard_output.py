"""Lines on standard output, which may be full, slow or closed: none of that ends a daemon."""

from __future__ import annotations

import os
import sys


class LineWriter:
    """Writes whole lines to a file descriptor; a line that can't be written is lost and counted."""

    __slots__ = ("_broken", "_descriptor", "lost")

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._broken = False  # the last line was written in part
        self.lost = 0

    def write(self, line: str) -> bool:
        """Write a line; return whether it was written completely. Never raises OSError."""
        if self._descriptor is None:
            return False
        data = f"{line}\n".encode(errors="backslashreplace")
        if self._broken:
            data = b"\n" + data
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # ENOSPC, EPIPE, EIO, EBADF; EAGAIN where another process made the pipe non-blocking.
            self._broken = self._broken or len(rest) < len(data)
            self.lost += 1
            return False
        self._broken = False
        return True


def standard_output() -> LineWriter:
    """Return the writer of this process's standard output.

    Standard output may have been closed at the start. Then its descriptor is, or will be, in other
    use, and every line is discarded.
    """
    try:
        return LineWriter(sys.stdout.fileno() if sys.stdout else None)
    except (OSError, ValueError):
        return LineWriter(None)
