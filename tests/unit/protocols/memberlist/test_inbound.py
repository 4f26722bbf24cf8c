from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from metallb_py.protocols.memberlist.events import StreamId
from metallb_py.protocols.memberlist.inbound import Inbound, Limits

LIMITS = Limits(
    streams=8,
    unknown_sources=6,
    per_source=3,
    held=1000,
    held_by_unknown=400,
    idle_timeout=1.0,
    total_timeout=3.0,
)
FIRST = IPv4Address("192.0.2.0")


class Case:
    """Streams of numbered sources; those from 100 on are known speakers."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.inbound = Inbound(limits)
        self.open: dict[StreamId, int] = {}
        self._numbers = count(3, 2)

    def opens(self, source: int, now: float = 0.0) -> StreamId | None:
        """Open a stream; return None if it is refused."""
        number = StreamId(next(self._numbers))
        self.open[number] = source
        self.closed(self.inbound.opened(number, FIRST + source, now, known=source >= 100))
        return number if number in self.open else None

    def sends(self, number: StreamId, size: int, now: float, held: int | None = None) -> None:
        held = size if held is None else held
        self.closed(self.inbound.received(number, size, held, now))

    def closed(self, numbers: tuple[StreamId, ...]) -> None:
        for number in numbers:
            del self.open[number]


def test_longest_idle_stream_is_closed_to_make_room() -> None:
    case = Case()
    streams = [case.opens(source, now=source / 10) for source in range(6)]
    case.sends(streams[0], 50_000, 0.6, held=0)
    new = case.opens(50, now=0.7)
    assert new in case.open
    assert streams[1] not in case.open
    assert streams[0] in case.open


def test_source_at_its_limit_loses_a_stream_of_its_own() -> None:
    case = Case()
    other = case.opens(1)
    for turn in range(100):
        assert case.opens(2, now=0.1 + turn / 1000)
    assert other in case.open
    assert list(case.open.values()).count(2) == LIMITS.per_source


def test_source_with_most_streams_loses_one_first() -> None:
    case = Case()
    others = [case.opens(source) for source in (1, 2, 3)]
    for turn in range(3):
        case.opens(4, now=0.5 + turn / 10)
    assert case.opens(5, now=1.0)
    assert all(other in case.open for other in others)


def test_unknown_sources_take_no_room_from_known_speakers() -> None:
    case = Case()
    speakers = [case.opens(100 + n) for n in range(2)]
    for source in range(60):
        case.opens(source, now=source / 100)
    assert all(speaker in case.open for speaker in speakers)
    assert case.opens(102, now=2.0)
    assert all(speaker in case.open for speaker in speakers)
    for n in range(103, 110):
        assert case.opens(n, now=2.0)
    assert set(case.open.values()) == set(range(102, 110))
    assert case.opens(1, now=2.5) is None


def test_trickling_stream_is_closed_in_favor_of_a_new_one() -> None:
    case = Case()
    trickling = [case.opens(source) for source in range(6)]
    for now in (0.5, 1.0, 1.5):
        for stream in trickling:
            case.sends(stream, 1, now)
    new = case.opens(50, now=1.6)
    case.opens(51, now=1.61)
    assert new in case.open


def test_stream_with_most_held_bytes_is_closed_at_the_limit() -> None:
    case = Case()
    small, large = case.opens(1), case.opens(2)
    case.sends(large, 350, 0.1)
    case.sends(small, 51, 0.2)
    assert set(case.open) == {small}
    speaker = case.opens(100)
    case.sends(speaker, 940, 0.3)
    assert set(case.open) == {small, speaker}
    case.sends(speaker, 960, 0.4)
    assert set(case.open) == {speaker}
    case.sends(speaker, 1001, 0.5)
    assert not case.open
    assert case.inbound.held == 0


def test_replies_count_as_held_bytes() -> None:
    case = Case()
    for source in range(3):
        stream = case.opens(source)
        case.sends(stream, 100, 0.1)
        case.closed(case.inbound.answered(stream, 150))
    assert len(case.open) == 2


def test_idle_timeout_and_total_timeout_close_streams() -> None:
    case = Case()
    silent, slow, done = case.opens(1), case.opens(2), case.opens(3)
    case.inbound.answered(done, 10)
    assert case.inbound.next_deadline() == 1.0
    case.sends(slow, 1, 0.9)
    assert case.inbound.handle_timeout(1.0) == (silent,)
    for now in (1.8, 2.7):
        case.sends(slow, 1, now)
        assert case.inbound.handle_timeout(now) == ()
    assert case.inbound.next_deadline() == 3.0
    assert set(case.inbound.handle_timeout(3.0)) == {slow, done}
    assert case.inbound.next_deadline() is None


def test_ended_stream_is_ignored() -> None:
    case = Case()
    stream = case.opens(1)
    case.inbound.ended(stream)
    case.inbound.ended(stream)
    assert case.inbound.received(stream, 1, 1, 0.1) == ()
    assert case.inbound.answered(stream, 1) == ()
    assert len(case.inbound) == case.inbound.held == 0


def test_timeouts_follow_the_timeout_of_the_cluster() -> None:
    assert Limits.within(3.0) == Limits()
    assert Limits.within(30.0) == replace(Limits(), idle_timeout=10.0, total_timeout=30.0)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),  # the event
        st.integers(0, 20) | st.integers(100, 110),  # the source of a new stream
        st.integers(0, 30),  # the index of the stream
        st.integers(0, 600),  # bytes
        st.floats(0, 0.7),  # seconds that pass
    ),
    max_size=200,
)


@given(STEPS)
def test_stream_limits_hold_for_any_sequence_of_events(
    steps: list[tuple[int, int, int, int, float]],
) -> None:
    case, now = Case(), 0.0
    sizes: dict[StreamId, int] = {}
    for what, source, which, size, passed in steps:
        now += passed
        open_ = list(case.open)
        stream = open_[which % len(open_)] if open_ else None
        if what == 0 or stream is None:
            opened = case.opens(source, now)
            assert opened or source < 100, "a speaker is never refused"
        elif what == 1:
            sizes[stream] = size
            case.sends(stream, 1, now, held=size)
        elif what == 2:
            case.inbound.ended(stream)
            del case.open[stream]
        else:
            case.closed(case.inbound.handle_timeout(now))
            assert (case.inbound.next_deadline() or now + 1) > now
        sizes = {number: size for number, size in sizes.items() if number in case.open}
        by_unknown = [number for number, source in case.open.items() if source < 100]
        assert len(case.inbound) == len(case.open) <= LIMITS.streams
        assert len(by_unknown) <= LIMITS.unknown_sources
        assert all(
            list(case.open.values()).count(each) <= LIMITS.per_source for each in case.open.values()
        )
        assert case.inbound.held == sum(sizes.values()) <= LIMITS.held
        assert sum(sizes.get(number, 0) for number in by_unknown) <= LIMITS.held_by_unknown
