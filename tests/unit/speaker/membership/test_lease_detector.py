"""Failure detection by Leases, rule by rule."""

from __future__ import annotations

import pytest

from metallb_py.kube.objects import Lease, LeaseSpec, ObjectMeta
from speaker.membership.lease_detector import (
    LABELS,
    MAX_DURATION,
    Failed,
    LeaseFailureDetector,
    LeasesObserved,
    MembersChanged,
    Renew,
    Renewed,
    Timing,
    Unreachable,
    node_of,
)

T = Timing(duration=5, renew=1.5, jitter=0.2, attempt=1.0)
MIDDLE = 0.5
"""Random fraction that leaves an interval as it is."""


def lease(node: str, renewed: object, *, holder: str | None = None, seconds: int = 5) -> Lease:
    """Return a Lease; its times are of another clock and are not compared with ours."""
    spec = LeaseSpec(f"{node}_1" if holder is None else holder, seconds, None, f"t{renewed}")
    return Lease(metadata=ObjectMeta(f"speaker-{node}", labels=dict(LABELS)), spec=spec)


class Speaker:
    """The detector of node "me", which observes its own renewals after a given delay."""

    def __init__(self, now: float = 0.0) -> None:
        self.detector = LeaseFailureDetector("me", T, now)
        self._count = 0

    def observe(self, now: float, *observed: Lease, gone: str = "") -> tuple[object, ...]:
        """Observe Leases in one batch, and the deletion of one."""
        leases: dict[str, Lease | None] = {node_of(lease): lease for lease in observed}
        if gone:
            leases[gone] = None
        return self.detector.receive(LeasesObserved(leases), now)

    def send(self, now: float) -> Lease:
        """Send a renewal; return the Lease that will be observed."""
        self._count += 1
        own = lease("me", self._count)
        self.detector.renewing(own.spec.renew_time or "", now)
        return own

    def renew(self, now: float, took: float = 0.0) -> tuple[object, ...]:
        """Send a renewal and observe it."""
        own = self.send(now)
        self.detector.receive(Renewed(), now + took)
        return self.observe(now + took, own)

    def renew_until(self, now: float, step: float = 1.0) -> None:
        """Renew periodically, from the beginning to a time."""
        for number in range(1, int(now / step) + 1):
            assert self.renew(number * step) == ()


def members(*nodes: str) -> tuple[MembersChanged, ...]:
    return (MembersChanged(frozenset({"me", *nodes})),)


def test_without_other_leases_only_the_own_node_is_alive() -> None:
    speaker = Speaker()
    speaker.renew_until(20)
    assert speaker.detector.alive == {"me"}


def test_a_node_with_a_lease_of_any_age_is_alive_at_first() -> None:
    speaker = Speaker()
    assert speaker.observe(0.0, lease("a", "2001"), lease("b", "2099")) == members("a", "b")


def test_unchanged_members_are_not_reported_again() -> None:
    speaker = Speaker()
    speaker.observe(0.0, lease("a", 1))
    assert speaker.observe(1.0, lease("a", 2)) == ()


def test_a_lease_observed_first_is_valid_for_one_duration() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.1, lease("a", 1))
    speaker.renew_until(5.0)
    assert speaker.renew(5.2) == members()


def test_a_node_that_renews_its_lease_stays_alive() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.1, lease("a", 0))
    for number in range(1, 30):
        assert speaker.observe(number * 1.4, lease("a", number)) == ()
        assert speaker.renew(number * 1.4 + 0.7) == ()


def test_a_lease_expires_one_duration_after_its_last_observed_renewal() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1), lease("b", 1))
    for now in (1.0, 2.0, 3.0):
        speaker.renew(now)
    speaker.observe(3.5, lease("a", 2), lease("b", 2))
    for now in (4.0, 5.0, 6.0, 7.0, 8.0, 8.4):
        assert speaker.observe(now, lease("b", now)) == ()
        assert speaker.renew(now) == ()
    assert speaker.renew(8.5) == members("b")


def test_time_alone_expires_no_lease() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    for now in (4.9, 5.1, 10.0, 1000.0):
        speaker.detector.handle_timeout(now, MIDDLE)
        assert speaker.detector.alive == {"me", "a"}


def test_an_own_renewal_that_was_sent_too_early_expires_no_lease() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    assert speaker.renew(4.9, took=0.2) == (), "a may have renewed since"
    assert speaker.renew(5.2) == members()


def test_an_older_own_renewal_expires_no_lease() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    early = speaker.send(4.5)
    late = speaker.send(5.2)
    assert speaker.observe(5.3, early) == ()
    assert speaker.observe(5.4, late) == members()


def test_a_write_of_our_lease_by_another_holder_expires_no_lease() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    speaker.send(5.5)
    assert speaker.observe(5.6, lease("me", "by another", holder="me_2")) == ()


def test_in_a_list_the_own_lease_may_come_before_a_newer_one() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("z", 1))
    speaker.renew_until(4.0)
    assert speaker.observe(5.5, speaker.send(5.4), lease("z", 2)) == ()


def test_a_changed_label_on_a_lease_is_no_renewal() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    labelled = ObjectMeta("speaker-a", labels={**LABELS, "by": "hand"}, resource_version="9")
    speaker.observe(4.0, Lease(metadata=labelled, spec=lease("a", 1).spec))
    assert speaker.renew(5.1) == members()


@pytest.mark.parametrize("holder", ["", None])
def test_a_released_or_deleted_lease_expires_at_once(holder: str | None) -> None:
    speaker = Speaker()
    speaker.observe(0.0, lease("a", 1), lease("b", 1))
    if holder is None:
        assert speaker.observe(0.1, gone="a") == members("b")
    else:
        assert speaker.observe(0.1, lease("a", 2, holder="")) == members("b")


def test_a_lease_without_holder_that_is_observed_first_is_ignored() -> None:
    assert Speaker().observe(0.0, lease("a", 1, holder="")) == ()


def test_an_expired_node_is_alive_again_with_the_next_renewal() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    assert speaker.renew(5.0) == members()
    assert speaker.observe(60.0, lease("a", 1)) == (), "the same Lease again is no renewal"
    assert speaker.observe(61.0, lease("a", 2)) == members("a")


def test_a_new_holder_of_a_lease_is_a_renewal() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    speaker.observe(4.5, lease("a", 1, holder="a_2"))
    assert speaker.renew(5.1) == ()


@pytest.mark.parametrize("error", [Failed(), Unreachable()])
def test_after_an_error_every_lease_gets_a_whole_duration(error: Failed | Unreachable) -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    speaker.detector.receive(error, 4.5)
    assert speaker.renew(5.5) == ()
    for now in (6.5, 7.5, 8.5, 9.5, 10.4):
        assert speaker.renew(now) == ()
    assert speaker.renew(10.5) == members()


def test_after_a_pause_every_lease_gets_a_whole_duration() -> None:
    """Neither an error nor an event: the watch, or this process, was stalled."""
    speaker = Speaker()
    assert pytest.approx(2.3) == T.pause
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(3.0)
    assert speaker.renew(5.4) == ()
    for now in (6.4, 7.4, 8.4, 9.4, 10.3):
        assert speaker.renew(now) == ()
    assert speaker.renew(10.4) == members()


def test_no_lease_expires_while_the_api_server_is_slow() -> None:
    """Slow: a renewal is observed only when the next one is due."""
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    returning = speaker.send(1.5)
    for number in range(2, 20):
        sent = speaker.send(number * 1.5)
        assert speaker.observe(number * 1.5 + 0.1, returning) == ()
        returning = sent
    assert speaker.observe(28.6, returning) == ()
    for now in (30.0, 32.0, 33.5):
        assert speaker.renew(now) == ()
    assert speaker.renew(33.6) == members()


def test_a_lease_that_expired_before_an_error_stays_expired() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    assert speaker.renew(5.0) == members()
    speaker.detector.receive(Unreachable(), 6.0)
    assert speaker.renew(7.0) == ()
    assert speaker.detector.alive == {"me"}


def test_the_own_node_is_always_alive() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    assert speaker.observe(0.1, gone="me") == ()
    assert speaker.observe(0.2, lease("me", 1, holder="")) == ()
    speaker.detector.receive(Failed(), 100.0)
    assert speaker.detector.alive == {"me"}


@pytest.mark.parametrize(
    ("seconds", "lasts"), [(20, 20), (1, 5), (0, 5), (-3, 5), (10**9, MAX_DURATION)]
)
def test_the_lease_duration_counts_within_limits(seconds: int, lasts: int) -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.observe(0.0, lease("a", 1, seconds=seconds))
    for now in range(1, lasts):
        assert speaker.renew(now) == ()
    assert speaker.renew(lasts) == members()


@pytest.mark.parametrize(
    ("name", "labels", "node"),
    [
        ("speaker-node-1.example", LABELS, "node-1.example"),
        ("speaker-a", {**LABELS, "more": "x"}, "a"),
        ("speaker-", LABELS, ""),
        ("speaker", LABELS, ""),
        ("metallb-controller", LABELS, ""),
        ("a-speaker-b", LABELS, ""),
        ("speaker-a", {"app": "metallb"}, ""),
        ("speaker-a", {"app": "metallb", "component": "controller"}, ""),
        ("speaker-a", None, ""),
    ],
)
def test_node_of_a_lease(name: str, labels: dict[str, str] | None, node: str) -> None:
    assert node_of(Lease(metadata=ObjectMeta(name, labels=labels and dict(labels)))) == node


@pytest.mark.parametrize(("random_fraction", "interval"), [(0.0, 1.2), (0.5, 1.5), (0.9999, 1.8)])
def test_renewals_are_spread_by_jitter(random_fraction: float, interval: float) -> None:
    detector = LeaseFailureDetector("me", T, 100.0)
    assert detector.handle_timeout(99.9, random_fraction) == ()
    assert detector.handle_timeout(100.0, random_fraction) == (Renew(1.0),)
    assert detector.handle_timeout(100.1, random_fraction) == ()
    assert detector.next_deadline() == pytest.approx(100.0 + interval, abs=0.001)


def test_a_failed_renewal_is_retried_with_backoff() -> None:
    detector = LeaseFailureDetector("me", T, 0.0)
    now, waits = 0.0, []
    for _ in range(6):
        assert detector.handle_timeout(now, 0.0) == (Renew(1.0),)
        detector.receive(Failed(), now)
        waits.append(round(detector.next_deadline() - now, 3))
        now = detector.next_deadline()
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5]
    detector.handle_timeout(now, 0.0)
    detector.receive(Renewed(), now)
    assert detector.next_deadline() == pytest.approx(now + 1.2)


@pytest.mark.parametrize("taken", [None, lease("me", 1, holder="")])
def test_an_own_lease_that_another_took_is_renewed_soon(taken: Lease | None) -> None:
    speaker = Speaker()
    speaker.detector.handle_timeout(0.0, MIDDLE)
    speaker.renew(0.0)
    speaker.detector.receive(LeasesObserved({"me": taken}), 0.1)
    assert speaker.detector.next_deadline() == pytest.approx(0.2)
