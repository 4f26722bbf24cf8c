"""Pending services, in groups that wait for the same event."""

from __future__ import annotations

from ipaddress import ip_address

from controller.requests import SharingTerms
from controller.waiting import Awaited, WaitingServices
from metallb_py.addresses import IPAddress

ONE, OTHER = ip_address("192.0.2.1"), ip_address("192.0.2.2")
ANY = Awaited("any")
POOL = Awaited("pool")


def heads(waiting: WaitingServices, *freed: IPAddress) -> list[str]:
    return sorted(key for (_, key), _ in waiting.heads(freed))


def test_the_oldest_of_each_group_is_its_head() -> None:
    waiting = WaitingServices()
    waiting.put("default/b", "2026-01-02", ANY)
    waiting.put("default/a", "2026-01-01", ANY)
    waiting.put("default/c", "2026-01-03", POOL)
    assert heads(waiting) == ["default/a", "default/c"]
    assert sorted(waiting) == ["default/a", "default/b", "default/c"]
    assert len(waiting) == 3


def test_a_service_waits_for_one_thing_at_a_time() -> None:
    waiting = WaitingServices()
    waiting.put("default/a", "1", ANY)
    ((_, group),) = waiting.heads(())
    waiting.put("default/a", "1", POOL)
    assert heads(waiting) == ["default/a"]
    assert waiting.head(group) is None


def test_a_service_that_no_longer_waits_leaves_its_group() -> None:
    waiting = WaitingServices()
    waiting.put("default/a", "1", ANY)
    waiting.put("default/b", "2", ANY)
    ((_, group),) = waiting.heads(())
    waiting.remove("default/a")
    waiting.remove("default/a")
    assert waiting.head(group) == ("2", "default/b")
    waiting.remove("default/b")
    assert not waiting.heads(())


def test_a_group_that_waits_for_addresses_is_retried_when_one_is_free() -> None:
    waiting = WaitingServices()
    waiting.put("default/a", "1", Awaited("", (ONE, OTHER)))
    waiting.put("default/b", "2", Awaited("", (OTHER,)))
    assert heads(waiting) == []
    assert heads(waiting, ONE) == ["default/a"]
    assert heads(waiting, ONE, OTHER) == ["default/a", "default/b"]
    waiting.remove("default/a")
    assert heads(waiting, ONE, OTHER) == ["default/b"]


def test_services_that_may_share_are_retried_after_a_change_of_their_key() -> None:
    waiting = WaitingServices()
    for name, key in (("a", "k"), ("b", "l"), ("c", "l")):
        waiting.put(f"default/{name}", name, Awaited("any", terms=SharingTerms(key)))
    assert heads(waiting) == ["default/a"], "a free address helps one as well as the other"
    by_key = sorted(key for (_, key), _ in waiting.heads((), ["l"]))
    assert by_key == ["default/a", "default/b"]
    waiting.remove("default/b")
    assert waiting.may_share("l")
    waiting.remove("default/c")
    assert not waiting.may_share("l")
    assert heads(waiting) == ["default/a"]
