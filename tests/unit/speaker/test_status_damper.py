"""Damping of a status that two controllers write in turn."""

from __future__ import annotations

from itertools import pairwise

from support.kube.objects import service

from metallb_py.kube.objects import Service
from speaker.status_damper import CHANGES, QUIET, WINDOW, StatusDamper

OURS = service("web", ips=("10.20.30.1",))
THEIRS = service("web", ips=("192.0.2.9",))
NONE = service("web")
KEY = OURS.key


def damper() -> StatusDamper:
    return StatusDamper(lambda item: item.status_addresses == OURS.status_addresses)


def alternate(damper: StatusDamper, seconds: float, period: float) -> tuple[list[Service], float]:
    """Change the status in turn; return the Service to use after each change, and the time."""
    now, old, taken = 0.0, OURS, []
    while now < seconds:
        new = THEIRS if old is OURS else OURS
        found = damper.changed(KEY, old, new, now)
        assert found is not None
        taken.append(found)
        old, now = new, now + period
    return taken, now


def test_the_first_status_changes_pass_at_once() -> None:
    one = damper()
    assert one.changed(KEY, None, NONE, 0.0) == NONE
    assert one.changed(KEY, NONE, OURS, 0.1) == OURS
    assert one.changed(KEY, OURS, THEIRS, 0.2) == THEIRS
    assert one.changed(KEY, THEIRS, OURS, 0.3) == OURS


def test_a_status_that_keeps_changing_is_damped() -> None:
    one = damper()
    taken, _ = alternate(one, 60, 0.07)
    assert one.is_damped(KEY)
    changes = sum(a.status_addresses != b.status_addresses for a, b in pairwise(taken))
    assert changes <= CHANGES + 1
    assert taken[-1].status_addresses == OURS.status_addresses, "the one that may be announced"


def test_the_latest_status_counts_after_the_quiet_time() -> None:
    one = damper()
    taken, now = alternate(one, 5, 0.1)
    last = THEIRS if len(taken) % 2 else OURS
    due = one.next_deadline()
    assert due is not None
    assert now < due <= now + QUIET
    assert one.handle_timeout(due - 0.1) == ()
    assert one.handle_timeout(due) == (last,)
    assert not one.is_damped(KEY)
    assert one.next_deadline() is None


def test_slow_changes_are_never_damped() -> None:
    taken, _ = alternate(damper(), 100 * WINDOW, WINDOW)
    assert {item.status_addresses for item in taken} == {
        OURS.status_addresses,
        THEIRS.status_addresses,
    }
    assert all(a != b for a, b in pairwise(taken))


def test_other_changes_of_a_damped_service_pass() -> None:
    one = damper()
    alternate(one, 5, 0.1)
    local = service("web", ips=("192.0.2.9",), external_traffic_policy="Local")
    found = one.changed(KEY, THEIRS, local, 5.1)
    assert found is not None
    assert found.spec.external_traffic_policy == "Local"
    assert found.status_addresses == OURS.status_addresses


def test_a_deleted_service_is_forgotten() -> None:
    one = damper()
    alternate(one, 5, 0.1)
    assert one.changed(KEY, OURS, None, 5.0) is None
    assert one.changed(KEY, None, THEIRS, 5.1) == THEIRS
    assert not one.is_damped(KEY)
