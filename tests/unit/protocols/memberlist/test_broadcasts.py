from __future__ import annotations

from metallb_py.protocols.memberlist.broadcasts import MAX_MISSES, PART_OVERHEAD, Broadcasts

ROOM = 1000


def queued(*messages: tuple[str, bytes]) -> Broadcasts:
    broadcasts = Broadcasts()
    for about, message in messages:
        broadcasts.add(about, message)
    return broadcasts


def test_empty_queue_returns_no_broadcasts() -> None:
    broadcasts = Broadcasts()
    assert not broadcasts.has_pending
    assert not broadcasts
    assert broadcasts.take(ROOM, 3) == []


def test_broadcast_is_sent_up_to_the_retransmit_limit() -> None:
    broadcasts = queued(("a", b"1"))
    assert [broadcasts.take(ROOM, 3) for _ in range(4)] == [[b"1"], [b"1"], [b"1"], []]
    assert len(broadcasts) == 0


def test_newer_broadcast_about_a_member_replaces_it_and_starts_anew() -> None:
    broadcasts = queued(("a", b"suspect"))
    assert broadcasts.has_pending
    broadcasts.take(ROOM, 3)
    assert not broadcasts.has_pending
    broadcasts.add("a", b"alive")
    assert broadcasts.has_pending
    assert [broadcasts.take(ROOM, 2) for _ in range(3)] == [[b"alive"], [b"alive"], []]


def test_least_transmitted_and_then_latest_broadcast_goes_first() -> None:
    broadcasts = queued(("a", b"1"), ("b", b"2"))
    one = PART_OVERHEAD + 1
    assert broadcasts.take(one, 9) == [b"2"]
    assert broadcasts.take(one, 9) == [b"1"]
    broadcasts.add("c", b"3")
    assert broadcasts.take(ROOM, 9)[0] == b"3"


def test_broadcast_that_does_not_fit_stays_queued() -> None:
    broadcasts = queued(("a", b"1"), ("b", b"x" * 100))
    assert broadcasts.take(50, 9) == [b"1"]
    assert broadcasts.take(ROOM, 9) == [b"x" * 100, b"1"]


def test_search_for_a_broadcast_that_fits_stops_after_max_misses() -> None:
    broadcasts = queued(("a", b"1"), *((str(n), b"x" * 100) for n in range(MAX_MISSES)))
    assert broadcasts.take(50, 9) == []
    assert len(broadcasts) == 1 + MAX_MISSES


def test_lower_retransmit_limit_applies_at_once() -> None:
    broadcasts = queued(("a", b"1"))
    broadcasts.take(ROOM, 9)
    broadcasts.take(ROOM, 9)
    assert broadcasts.take(ROOM, 2) == [b"1"]
    assert not broadcasts
