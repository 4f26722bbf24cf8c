"""JSON logs in MetalLB's format: one object per line on stdout, keys in alphabetical order.

For any content of the fields, a line is one line of valid JSON in printable characters, of bounded
length. Logging never fails, in any state of standard output.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from enum import IntEnum
from typing import Final, Self

from metallb_py.printable import FIELD_LIMIT, printable_json, shortened
from metallb_py.rate_limit import Admitted, Rate, RateLimiter

LIST_LIMIT: Final = 256
"""Entries of a list in one field."""
EACH: Final = Rate(burst=20, per_second=1 / 10)
TOTAL: Final = Rate(burst=40_000, per_second=50)
MAX_SOURCES: Final = 4096
SUBJECTS: Final = ("service", "peer", "interface", "ip", "node name", "object", "resource")
"""Fields that name the subject of a line."""
SUBJECT_LIMIT: Final = 320
"""Characters of a subject that count: a namespace and a name."""

Value = str | int | float | bool | None | list[str]
Gate = Callable[[str, "Mapping[str, Value]"], Admitted | None]
"""Decides from a line's caller and fields whether it is written."""


class Level(IntEnum):
    """Lowest level that is logged; the names are those of ``--log-level``."""

    ALL = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    NONE = 5


LEVEL_NAMES = tuple(level.name.lower() for level in Level)


class Logger:
    """Writes lines with a fixed context; ``bind`` returns a logger with more context.

    A ``gate``, by default LineLimits, decides of each line above ``debug`` whether it is written.
    """

    __slots__ = ("_context", "_gate", "_level", "_write")

    def __init__(
        self,
        level: Level = Level.INFO,
        write: Callable[[str], object] | None = None,
        context: dict[str, Value] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._level = level
        self._write = write or _Output()
        self._context = context or {}
        self._gate = gate or LineLimits()

    def bind(self, **context: Value) -> Self:
        """Return a logger that adds these fields to every line."""
        return type(self)(self._level, self._write, self._context | context, self._gate)

    def gated(self, gate: Gate) -> Self:
        """Return a logger with this gate instead of its own."""
        return type(self)(self._level, self._write, self._context, gate)

    def debug(self, msg: str, **fields: Value) -> None:
        """Log a detail for debugging."""
        self._log(Level.DEBUG, msg, fields)

    def info(self, msg: str, **fields: Value) -> None:
        """Log a change."""
        self._log(Level.INFO, msg, fields)

    def warn(self, msg: str, **fields: Value) -> None:
        """Log a condition that works, but possibly not as intended."""
        self._log(Level.WARN, msg, fields)

    def error(self, msg: str, **fields: Value) -> None:
        """Log a failure."""
        self._log(Level.ERROR, msg, fields)

    def log(self, level: Level, msg: str, **fields: Value) -> None:
        """Log at a level that the caller computed."""
        self._log(level, msg, fields)

    def _log(self, level: Level, msg: str, fields: dict[str, Value]) -> None:
        if level < self._level:
            return
        caller = _caller()
        line = self._context | fields
        if level > Level.DEBUG:
            admitted = self._gate(caller, line)
            if admitted is None:
                return
            if admitted.suppressed:
                line["suppressed"] = admitted.suppressed
        line = {name: _bounded(value) for name, value in line.items()}
        line |= {"caller": caller, "level": level.name.lower(), "msg": shortened(msg)}
        self._write(_as_json(line))


class LineLimits:
    """Default gate: limits the rate of each source, for any kind of line.

    A source is a place in the program and the subject of its line: a service, a peer. The limits
    admit the lines of 10,000 services at a start, and 50 lines a second in the long run. The next
    line of a source reports the number of its lines that were suppressed.
    """

    __slots__ = ("_clock", "_limiter")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limiter = RateLimiter(EACH, TOTAL, MAX_SOURCES)

    def __call__(self, caller: str, line: Mapping[str, Value]) -> Admitted | None:
        """Admit a line, or return None."""
        subject = tuple(str(line[name])[:SUBJECT_LIMIT] for name in SUBJECTS if name in line)
        return self._limiter.admit((caller, subject), self._clock())


class LimitedLog:
    """Log with tighter limits, for lines of sources that can be forged or are without limit."""

    __slots__ = ("_clock", "_limiter", "_log")

    def __init__(
        self, log: Logger, each: Rate, total: Rate, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._limiter = RateLimiter(each, total)
        self._clock = clock

    def of(self, *source: Hashable) -> Logger:
        """Return the logger of one source."""
        return self._log.gated(lambda _, __: self._limiter.admit(source, self._clock()))


class _Output:
    """Standard output; reports the number of lost lines once it accepts a line again."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = standard_output()

    def __call__(self, line: str) -> None:
        lost = self._lines.lost
        if self._lines.write(line) and lost:
            self._lines.lost = 0
            message = "log lines were lost on standard output"
            fields: dict[str, Value] = {"caller": _caller(), "level": "warn", "msg": message}
            self._lines.write(_as_json(fields | {"op": "log", "lost": lost}))


def _as_json(line: dict[str, Value]) -> str:
    line["ts"] = _timestamp()
    text = json.dumps(line, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return printable_json(text)


def _bounded(value: Value) -> Value:
    """Return a value of bounded length that JSON can represent."""
    match value:
        case str():
            return shortened(value)
        case float() if not math.isfinite(value):
            return str(value)
        case list():
            return _bounded_list(value)
        case _:
            return value


def _bounded_list(values: list[str]) -> list[str]:
    kept: list[str] = []
    room = FIELD_LIMIT
    for value in values[:LIST_LIMIT]:
        room -= len(value)
        if room < 0 and kept:
            break
        kept.append(shortened(value))
    more = len(values) - len(kept)
    return [*kept, f"... ({more} more)"] if more else kept


def _caller() -> str:
    frame = inspect.currentframe()
    for _ in range(3):  # _caller, _log and the method named after the level
        frame = frame.f_back if frame else None
    if frame is None:
        return ""
    name = frame.f_code.co_filename.rpartition("/")[2]
    return f"{name}:{frame.f_lineno}"


def _timestamp() -> str:
    nanoseconds = time.time_ns()
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")  # RFC 3339 as Go prints it
    return f"{text}{digits}Z"


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
