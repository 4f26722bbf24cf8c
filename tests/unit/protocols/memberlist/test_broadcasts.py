from __future__ import annotations

from metallb_py.protocols.memberlist.broadcasts import PER_RUMOUR, TRIES, Broadcasts

ROOM = 1000


def told(*rumours: tuple[str, bytes]) -> Broadcasts:
    broadcasts = Broadcasts()
    for about, rumour in rumours:
        broadcasts.add(about, rumour)
    return broadcasts


def test_without_rumours_nothing_is_told() -> None:
    broadcasts = Broadcasts()
    assert not broadcasts.has_news
    assert not broadcasts
    assert broadcasts.take(ROOM, 3) == []


def test_each_rumour_is_told_so_many_times() -> None:
    broadcasts = told(("a", b"1"))
    assert [broadcasts.take(ROOM, 3) for _ in range(4)] == [[b"1"], [b"1"], [b"1"], []]
    assert len(broadcasts) == 0


def test_the_latest_rumour_about_a_member_replaces_the_one_before_and_is_news_again() -> None:
    broadcasts = told(("a", b"suspect"))
    assert broadcasts.has_news
    broadcasts.take(ROOM, 3)
    assert not broadcasts.has_news
    broadcasts.add("a", b"alive")
    assert broadcasts.has_news
    assert [broadcasts.take(ROOM, 2) for _ in range(3)] == [[b"alive"], [b"alive"], []]


def test_the_least_told_goes_first_and_among_those_the_latest() -> None:
    broadcasts = told(("a", b"1"), ("b", b"2"))
    one = PER_RUMOUR + 1
    assert broadcasts.take(one, 9) == [b"2"]
    assert broadcasts.take(one, 9) == [b"1"]
    broadcasts.add("c", b"3")
    assert broadcasts.take(ROOM, 9)[0] == b"3"


def test_what_does_not_fit_stays_and_what_fits_goes() -> None:
    broadcasts = told(("a", b"1"), ("b", b"x" * 100))
    assert broadcasts.take(50, 9) == [b"1"]
    assert broadcasts.take(ROOM, 9) == [b"x" * 100, b"1"]


def test_not_all_are_tried_where_little_room_is_left() -> None:
    broadcasts = told(("a", b"1"), *((str(n), b"x" * 100) for n in range(TRIES)))
    assert broadcasts.take(50, 9) == []
    assert len(broadcasts) == 1 + TRIES


def test_a_limit_that_sank_counts_from_then_on() -> None:
    broadcasts = told(("a", b"1"))
    broadcasts.take(ROOM, 9)
    broadcasts.take(ROOM, 9)
    assert broadcasts.take(ROOM, 2) == [b"1"]
    assert not broadcasts
