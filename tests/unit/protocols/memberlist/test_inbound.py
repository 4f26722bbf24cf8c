from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from metallb_py.protocols.memberlist.events import StreamId
from metallb_py.protocols.memberlist.inbound import Inbound, Limits

LIMITS = Limits(
    streams=8, strangers=6, per_source=3, held=1000, held_by_strangers=400, silence=1.0, whole=3.0
)
FIRST = IPv4Address("192.0.2.0")


class Case:
    """Streams of sources with numbers; those from 100 on are speakers."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.inbound = Inbound(limits)
        self.open: dict[StreamId, int] = {}
        self._numbers = count(3, 2)

    def opens(self, source: int, now: float = 0.0) -> StreamId | None:
        """Open a stream; None where it is refused."""
        number = StreamId(next(self._numbers))
        self.open[number] = source
        self.closed(self.inbound.opened(number, FIRST + source, now, known=source >= 100))
        return number if number in self.open else None

    def sends(self, number: StreamId, size: int, now: float, held: int | None = None) -> None:
        taken = size if held is None else held
        self.closed(self.inbound.received(number, size, taken, now))

    def closed(self, numbers: tuple[StreamId, ...]) -> None:
        for number in numbers:
            del self.open[number]


def test_the_silent_for_longest_makes_room() -> None:
    case = Case()
    streams = [case.opens(source, now=source / 10) for source in range(6)]
    case.sends(streams[0], 50_000, 0.6, held=0)
    new = case.opens(50, now=0.7)
    assert new in case.open
    assert streams[1] not in case.open
    assert streams[0] in case.open


def test_a_source_makes_room_for_its_own_streams() -> None:
    case = Case()
    other = case.opens(1)
    for turn in range(100):
        assert case.opens(2, now=0.1 + turn / 1000)
    assert other in case.open
    assert list(case.open.values()).count(2) == LIMITS.per_source


def test_a_source_with_many_streams_makes_room_first() -> None:
    case = Case()
    others = [case.opens(source) for source in (1, 2, 3)]
    for turn in range(3):
        case.opens(4, now=0.5 + turn / 10)
    assert case.opens(5, now=1.0)
    assert all(other in case.open for other in others)


def test_strangers_take_no_room_from_speakers() -> None:
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


def test_trickling_keeps_no_place_against_one_that_has_just_come() -> None:
    case = Case()
    trickling = [case.opens(source) for source in range(6)]
    for now in (0.5, 1.0, 1.5):
        for stream in trickling:
            case.sends(stream, 1, now)
    new = case.opens(50, now=1.6)
    case.opens(51, now=1.61)
    assert new in case.open


def test_the_one_that_holds_the_most_goes_when_it_is_too_much() -> None:
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


def test_answers_are_held_too() -> None:
    case = Case()
    for source in range(3):
        stream = case.opens(source)
        case.sends(stream, 100, 0.1)
        case.closed(case.inbound.answered(stream, 150))
    assert len(case.open) == 2


def test_silence_and_slowness_have_their_end() -> None:
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


def test_what_has_ended_is_of_no_interest() -> None:
    case = Case()
    stream = case.opens(1)
    case.inbound.ended(stream)
    case.inbound.ended(stream)
    assert case.inbound.received(stream, 1, 1, 0.1) == ()
    assert case.inbound.answered(stream, 1) == ()
    assert len(case.inbound) == case.inbound.held == 0


def test_patience_follows_that_of_the_cluster() -> None:
    assert Limits.within(3.0) == Limits()
    assert Limits.within(30.0) == replace(Limits(), silence=10.0, whole=30.0)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),  # what happens
        st.integers(0, 20) | st.integers(100, 110),  # the source that opens
        st.integers(0, 30),  # which of the streams
        st.integers(0, 600),  # bytes
        st.floats(0, 0.7),  # time that passes
    ),
    max_size=200,
)


@given(STEPS)
def test_limits_hold_whatever_happens(steps: list[tuple[int, int, int, int, float]]) -> None:
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
        by_strangers = [number for number, source in case.open.items() if source < 100]
        assert len(case.inbound) == len(case.open) <= LIMITS.streams
        assert len(by_strangers) <= LIMITS.strangers
        assert all(
            list(case.open.values()).count(each) <= LIMITS.per_source for each in case.open.values()
        )
        assert case.inbound.held == sum(sizes.values()) <= LIMITS.held
        assert sum(sizes.get(number, 0) for number in by_strangers) <= LIMITS.held_by_strangers
