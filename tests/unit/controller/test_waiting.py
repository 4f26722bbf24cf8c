"""Services that wait, in groups of equal prospects."""

from __future__ import annotations

from controller.waiting import WaitingServices


def test_the_oldest_of_each_group_is_its_head() -> None:
    waiting = WaitingServices()
    waiting.put("default/b", "2026-01-02", "address")
    waiting.put("default/a", "2026-01-01", "address")
    waiting.put("default/c", "2026-01-03", "pool")
    assert sorted(waiting.heads()) == [
        (("2026-01-01", "default/a"), "address"),
        (("2026-01-03", "default/c"), "pool"),
    ]
    assert sorted(waiting) == ["default/a", "default/b", "default/c"]
    assert len(waiting) == 3


def test_a_service_waits_for_one_thing_at_a_time() -> None:
    waiting = WaitingServices()
    waiting.put("default/a", "1", "address")
    waiting.put("default/a", "1", "pool")
    assert waiting.heads() == [(("1", "default/a"), "pool")]
    assert waiting.head("address") is None


def test_what_waits_no_longer_leaves_its_group() -> None:
    waiting = WaitingServices()
    waiting.put("default/a", "1", "address")
    waiting.put("default/b", "2", "address")
    waiting.remove("default/a")
    waiting.remove("default/a")
    assert waiting.head("address") == ("2", "default/b")
    waiting.remove("default/b")
    assert not waiting.heads()
