from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from support.gossip.members import endpoint, member, name_of

from metallb_py.protocols.memberlist.coalescer import MAX_REPORTERS, Coalescer
from metallb_py.protocols.memberlist.codec.messages import State
from metallb_py.protocols.memberlist.events import (
    ClusterEvent,
    Joined,
    JoinFailed,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    RoundTrip,
    SelfSuspected,
)

GONE = replace(member(1), state=State.DEAD)


def up(meta: bytes = b"") -> MemberUp:
    return MemberUp(replace(member(1), meta=meta))


def changed(meta: bytes) -> MemberChanged:
    return MemberChanged(replace(member(1), meta=meta))


DOWN = MemberDown(GONE, "n2")


def merged(*events: ClusterEvent) -> tuple[ClusterEvent, ...]:
    coalescer = Coalescer()
    for event in events:
        coalescer.add(event)
    taken = coalescer.take()
    assert not coalescer
    return taken


def present(events: Sequence[ClusterEvent]) -> dict[str, bytes]:
    """Return the members present after these events, with their metadata."""
    found: dict[str, bytes] = {}
    for event in events:
        match event:
            case MemberUp(each) | MemberChanged(each):
                found[each.name] = each.meta
            case MemberDown(each):
                found.pop(each.name, None)
    return found


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ((), ()),
        ((up(),), (up(),)),
        ((up(), changed(b"a"), changed(b"b")), (up(b"b"),)),
        ((changed(b"a"), changed(b"b")), (changed(b"b"),)),
        ((DOWN, up()), (DOWN, up())),
        ((changed(b"a"), DOWN), (changed(b"a"), DOWN)),
        ((up(), DOWN, up(b"x"), changed(b"y")), (DOWN, up(b"y"))),
        ((up(), DOWN, up(), DOWN), (up(), DOWN)),
    ],
)
def test_latest_two_events_of_a_member_are_kept(
    events: tuple[ClusterEvent, ...], left: tuple[ClusterEvent, ...]
) -> None:
    assert merged(*events) == left


def test_merged_events_lead_to_the_same_members() -> None:
    for events in product((up(b"1"), changed(b"2"), DOWN), repeat=4):
        assert present(merged(*events)) == present(events), events
        assert len(merged(*events)) <= 2, events


def test_latest_suspicion_and_latest_join_result_are_kept() -> None:
    suspected, trusted = MemberSuspected(member(1), "n2"), MemberTrusted(member(1))
    failed, joined = JoinFailed(endpoint(3), "no route"), Joined(endpoint(3))
    first, last = (NameConflict("n1", endpoint(1), endpoint(n)) for n in (7, 8))
    assert merged(suspected, failed, first, trusted, joined, last) == (trusted, joined, last)


def test_suspicion_precedes_the_member_down_that_it_led_to() -> None:
    suspected = MemberSuspected(member(1), "n2")
    assert merged(suspected, DOWN) == (suspected, DOWN)
    assert merged(up(), suspected, DOWN) == (up(), suspected, DOWN)
    assert merged(suspected, changed(b"a"), DOWN, up(), changed(b"b"), DOWN) == (
        suspected,
        up(b"b"),
        DOWN,
    )
    assert merged(DOWN, up(), suspected) == (DOWN, up(), suspected)


def test_merged_events_with_suspicions_lead_to_the_same_members() -> None:
    kinds = (up(b"1"), changed(b"2"), DOWN, MemberSuspected(member(1), "n2"))
    for events in product(kinds, repeat=4):
        left = merged(*events)
        assert present(left) == present(events), events
        assert len(left) <= 3, events
        if isinstance(events[-1], MemberDown | MemberSuspected):
            assert left[-1] == events[-1], events


def test_member_events_precede_the_result_of_their_join() -> None:
    joined = Joined(endpoint(1))
    assert merged(joined, up()) == (up(), joined)


def test_round_trips_and_different_members_stay_apart() -> None:
    events = (RoundTrip("n1", 0.1), RoundTrip("n2", 0.2), SelfSuspected("n1"), SelfSuspected("n2"))
    assert set(merged(*events)) == set(events)


def test_reporters_of_a_suspicion_are_bounded() -> None:
    reports = [SelfSuspected(name_of(number)) for number in range(10 * MAX_REPORTERS)]
    assert merged(*reports, *reports) == tuple(reports[:MAX_REPORTERS])
