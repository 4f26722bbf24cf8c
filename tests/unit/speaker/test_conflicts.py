"""When a conflict is told of."""

from __future__ import annotations

from ipaddress import ip_address

from speaker.conflicts import REMEMBERED, TELL_AGAIN, Conflicts

ADDRESS = ip_address("192.0.2.7")


def test_once_and_again_after_a_while() -> None:
    conflicts = Conflicts()
    assert conflicts.is_news(ADDRESS, "a", 5.0)
    assert not conflicts.is_news(ADDRESS, "a", 6.0)
    assert conflicts.is_news(ADDRESS, "b", 6.0)
    assert conflicts.is_news(ADDRESS, "a", 5.0 + TELL_AGAIN)


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    conflicts = Conflicts()
    for number in range(REMEMBERED + 1):
        assert conflicts.is_news(ADDRESS, str(number), float(number))
    assert not conflicts.is_news(ADDRESS, "1", 2000.0 / 10)
    assert conflicts.is_news(ADDRESS, "0", 2000.0 / 10)
