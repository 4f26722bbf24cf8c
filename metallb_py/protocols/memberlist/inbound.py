"""Which of the streams that others opened may stay: how many, for how long, with how many bytes.

Theory of operation. Anything that reaches the port can open a stream, so a new one is never kept
out by old ones: where there is no room, one of the old is closed for it. That is one of the same
source where the source has all that it may have; else one of the source with the most, and of
these the one with the least progress for its age: one that was silent since long before one that
has just been accepted or that keeps sending. Known sources (the other speakers) have room of their
own, which strangers cannot take.

Bytes are held for a stream until its message is whole, and for the answer until it is sent. All
streams share one budget, the strangers' with a lower limit of its own; over it, the stream that
holds the most is closed.
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
"""Bytes a second with which a stream that sends keeps its place."""
CREDIT: Final = 1.0
"""The most that it can be ahead by what it has sent, in seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the streams that others opened may take.

    ``streams``: so many at once, of which ``strangers`` may be of unknown sources, and
    ``per_source`` of any one source. ``held``: bytes for all streams, of which
    ``held_by_strangers`` for those of unknown sources; a push-pull of 5,000 members holds up to
    4 MiB. ``silence``: seconds without a byte; ``whole``: seconds for all of a stream.
    """

    streams: int = 64
    strangers: int = 48
    per_source: int = 8
    held: int = 16 * _MIB
    held_by_strangers: int = 6 * _MIB
    silence: float = 1.0
    whole: float = 3.0

    @classmethod
    def within(cls, timeout: float) -> Limits:
        """Return the limits for a cluster whose members wait so many seconds for an answer."""
        return cls(silence=max(1.0, timeout / 3), whole=timeout)


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
        """Until when a stream of average behaviour would have come this far."""
        return self.opened + min(self.received / CREDIT_RATE, CREDIT)


class Inbound:
    """The streams that others opened. Those that a method returns are to be closed, and ended."""

    __slots__ = ("_held", "_limits", "_of", "_streams")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._streams: dict[StreamId, _Stream] = {}
        self._of: Counter[IPAddress] = Counter()
        self._held = {True: 0, False: 0}  # for known sources, and for strangers

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def held(self) -> int:
        """How many bytes are held for all of them."""
        return sum(self._held.values())

    def opened(
        self, number: StreamId, source: IPAddress, now: float, *, known: bool
    ) -> tuple[StreamId, ...]:
        """Take in a stream; returned is what is closed for it, which may be itself."""
        room = self._room_for(source, known=known)
        if room is None:
            return (number,)
        self._streams[number] = _Stream(number, source, known, now)
        self._of[source] += 1
        return room

    def received(self, number: StreamId, count: int, held: int, now: float) -> tuple[StreamId, ...]:
        """So many bytes arrived; so many are held for the stream now."""
        stream = self._streams.get(number)
        if stream is None:
            return ()
        stream.seen = now
        stream.received += count
        return self._hold(stream, held)

    def answered(self, number: StreamId, held: int) -> tuple[StreamId, ...]:
        """The message is whole, and its answer, of so many bytes, is being sent."""
        stream = self._streams.get(number)
        if stream is None:
            return ()
        stream.answered = True
        return self._hold(stream, held)

    def ended(self, number: StreamId) -> None:
        """A stream is no more."""
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
        """Close what was silent for too long, or is not done in time."""
        late = [s.number for s in self._streams.values() if self._deadline(s) <= now]
        return self._closed(late)

    def _deadline(self, stream: _Stream) -> float:
        silence = inf if stream.answered else stream.seen + self._limits.silence
        return min(silence, stream.opened + self._limits.whole)

    def _room_for(self, source: IPAddress, *, known: bool) -> tuple[StreamId, ...] | None:
        """Return what is closed for a new stream; None where there is no room for it."""
        limits, strangers = self._limits, [s for s in self._streams.values() if not s.known]
        if self._of[source] >= limits.per_source:
            return self._evicted(s for s in self._streams.values() if s.source == source)
        if not known and len(strangers) >= limits.strangers:
            return self._evicted(strangers)
        if len(self._streams) < limits.streams:
            return ()
        if strangers:
            return self._evicted(strangers)
        return self._evicted(self._streams.values()) if known else None

    def _evicted(self, among: Iterable[_Stream]) -> tuple[StreamId, ...]:
        worst = min(among, key=lambda s: (-self._of[s.source], s.progress))
        return self._closed([worst.number])

    def _hold(self, stream: _Stream, held: int) -> tuple[StreamId, ...]:
        """Note what is held for a stream. Close those that hold the most, while it is too much."""
        self._held[stream.known] += held - stream.held
        stream.held = held
        closed: list[StreamId] = []
        while self._held[False] > self._limits.held_by_strangers:
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
