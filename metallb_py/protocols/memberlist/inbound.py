"""Limits on the streams that other hosts open: their number, duration and memory.

Theory of operation. Any host that reaches the port can open a stream, so a new stream is never
rejected in favour of old ones: where the limit is reached, an old one is closed for it. That is one
of the same source where the source has reached its own limit; else one of the source with the most
streams, and of these the one with the least progress for its age: one that has long been idle
before one that was just accepted or that keeps sending. Known sources (the other speakers) have
slots of their own, which unknown sources cannot occupy.

Bytes are held for a stream until its message is complete, and for the answer until it is sent. All
streams share one budget, those of unknown sources with a lower limit of its own; above it, the
stream that holds the most is closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.protocols.memberlist.events import StreamId

_MIB: Final = 1 << 20
CREDIT_RATE: Final = 65_536
"""Bytes received that earn a stream one second of progress."""
CREDIT: Final = 1.0
"""Most seconds of progress that a stream can earn."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the streams that other hosts opened."""

    streams: int = 64
    """Number of streams at once, of all sources."""
    unknown_sources: int = 48
    """Number of streams at once of all unknown sources. Below ``streams``: the difference is
    reserved for known sources."""
    per_source: int = 8
    """Number of streams at once of any one source."""
    held: int = 16 * _MIB
    """Bytes of memory for all streams. A push-pull of 5,000 members holds up to 4 MiB."""
    held_by_unknown: int = 6 * _MIB
    """Bytes of memory for the streams of unknown sources, below ``held``."""
    idle_timeout: float = 1.0
    """Seconds after which a stream is closed when no byte arrives."""
    total_timeout: float = 3.0
    """Seconds from the opening of a stream until it must have ended."""

    @classmethod
    def within(cls, timeout: float) -> Limits:
        """Return the limits for a cluster whose members wait ``timeout`` seconds for an answer."""
        return cls(idle_timeout=max(1.0, timeout / 3), total_timeout=timeout)


class _Stream:
    __slots__ = ("answered", "held", "known", "number", "opened", "received", "seen", "source")

    def __init__(self, number: StreamId, source: IPAddress, known: bool, now: float) -> None:
        self.number = number
        self.source = source
        self.known = known
        self.opened = self.seen = now
        self.received = 0
        self.held = 0
        self.answered = False

    @property
    def progress(self) -> float:
        """Time of opening plus the seconds earned; the stream with the least is closed first."""
        return self.opened + min(self.received / CREDIT_RATE, CREDIT)


class Inbound:
    """The streams that other hosts opened.

    Driver contract: close each stream that a method returns. It is forgotten already; for one that
    ends otherwise call ``ended``.
    """

    __slots__ = ("_held", "_limits", "_of", "_streams")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._streams: dict[StreamId, _Stream] = {}
        self._of: Counter[IPAddress] = Counter()
        self._held = {True: 0, False: 0}  # for known sources, and for unknown ones

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def held(self) -> int:
        """Bytes held for all streams."""
        return sum(self._held.values())

    def opened(
        self, number: StreamId, source: IPAddress, now: float, *, known: bool
    ) -> tuple[StreamId, ...]:
        """Add a stream. Return the streams to close for it; the new one if it is rejected."""
        room = self._room_for(source, known=known)
        if room is None:
            return (number,)
        self._streams[number] = _Stream(number, source, known, now)
        self._of[source] += 1
        return room

    def received(self, number: StreamId, count: int, held: int, now: float) -> tuple[StreamId, ...]:
        """Record ``count`` bytes received, and ``held`` bytes now held for the stream."""
        stream = self._streams.get(number)
        if stream is None:
            return ()
        stream.seen = now
        stream.received += count
        return self._hold(stream, held)

    def answered(self, number: StreamId, held: int) -> tuple[StreamId, ...]:
        """Record that the message is complete and an answer of ``held`` bytes is being sent."""
        stream = self._streams.get(number)
        if stream is None:
            return ()
        stream.answered = True
        return self._hold(stream, held)

    def ended(self, number: StreamId) -> None:
        """Forget a stream that has ended. Idempotent."""
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        self._held[stream.known] -= stream.held
        self._of[stream.source] -= 1
        if not self._of[stream.source]:
            del self._of[stream.source]

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due."""
        return min(map(self._deadline, self._streams.values()), default=None)

    def handle_timeout(self, now: float) -> tuple[StreamId, ...]:
        """Return the streams that were idle for too long, or have not ended in time."""
        late = [s.number for s in self._streams.values() if self._deadline(s) <= now]
        return self._closed(late)

    def _deadline(self, stream: _Stream) -> float:
        idle_until = inf if stream.answered else stream.seen + self._limits.idle_timeout
        return min(idle_until, stream.opened + self._limits.total_timeout)

    def _room_for(self, source: IPAddress, *, known: bool) -> tuple[StreamId, ...] | None:
        """Return the streams to close for a new one; None if the new one must be rejected."""
        limits, unknown = self._limits, [s for s in self._streams.values() if not s.known]
        if self._of[source] >= limits.per_source:
            return self._evicted(s for s in self._streams.values() if s.source == source)
        if not known and len(unknown) >= limits.unknown_sources:
            return self._evicted(unknown)
        if len(self._streams) < limits.streams:
            return ()
        if unknown:
            return self._evicted(unknown)
        return self._evicted(self._streams.values()) if known else None

    def _evicted(self, among: Iterable[_Stream]) -> tuple[StreamId, ...]:
        worst = min(among, key=lambda s: (-self._of[s.source], s.progress))
        return self._closed([worst.number])

    def _hold(self, stream: _Stream, held: int) -> tuple[StreamId, ...]:
        """Record the bytes held for a stream. Close the largest while a limit is exceeded."""
        self._held[stream.known] += held - stream.held
        stream.held = held
        closed: list[StreamId] = []
        while self._held[False] > self._limits.held_by_unknown:
            closed += self._largest(known=False)
        while self.held > self._limits.held:
            closed += self._largest(known=self._held[False] == 0)
        return tuple(closed)

    def _largest(self, *, known: bool) -> tuple[StreamId, ...]:
        found = (stream for stream in self._streams.values() if stream.known is known)
        return self._closed([max(found, key=lambda s: s.held).number])

    def _closed(self, numbers: list[StreamId]) -> tuple[StreamId, ...]:
        for number in numbers:
            self.ended(number)
        return tuple(numbers)
