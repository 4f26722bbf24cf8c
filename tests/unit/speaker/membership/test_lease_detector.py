"""Who is alive by their Leases, rule by rule."""

from __future__ import annotations

import pytest

from metallb_py.kube.objects import Lease, LeaseSpec, ObjectMeta
from speaker.membership.lease_detector import (
    LABELS,
    LONGEST,
    Failed,
    Leases,
    Members,
    Renew,
    Renewed,
    Seen,
    Timing,
    Unreachable,
    node_of,
)

T = Timing(duration=5, renew=1.5, jitter=0.2, attempt=1.0)
MIDDLE = 0.5
"""Chance that leaves an interval as it is."""


def lease(node: str, renewed: object, *, holder: str | None = None, seconds: int = 5) -> Lease:
    """A Lease; its times are by another's clock, and compare with nothing."""
    spec = LeaseSpec(f"{node}_1" if holder is None else holder, seconds, None, f"t{renewed}")
    return Lease(metadata=ObjectMeta(f"speaker-{node}", labels=dict(LABELS)), spec=spec)


class Speaker:
    """The machine of node "me", whose own renewals come back as fast as is said."""

    def __init__(self, now: float = 0.0) -> None:
        self.leases = Leases("me", T, now)
        self._count = 0

    def see(self, now: float, *seen: Lease, gone: str = "") -> tuple[object, ...]:
        """See Leases in one go, and that one is gone."""
        leases: dict[str, Lease | None] = {node_of(lease): lease for lease in seen}
        if gone:
            leases[gone] = None
        return self.leases.receive(Seen(leases), now)

    def send(self, now: float) -> Lease:
        """Send a renewal; return what will come back."""
        self._count += 1
        own = lease("me", self._count)
        self.leases.renewing(own.spec.renew_time or "", now)
        return own

    def renew(self, now: float, took: float = 0.0) -> tuple[object, ...]:
        """Send a renewal, and see it come back."""
        own = self.send(now)
        self.leases.receive(Renewed(), now + took)
        return self.see(now + took, own)

    def renew_until(self, now: float, step: float = 1.0) -> None:
        """Renew every so often, from where all began."""
        for number in range(1, int(now / step) + 1):
            assert self.renew(number * step) == ()


def members(*nodes: str) -> tuple[Members, ...]:
    return (Members(frozenset({"me", *nodes})),)


def test_alone_only_oneself_is_alive() -> None:
    speaker = Speaker()
    speaker.renew_until(20)
    assert speaker.leases.alive == {"me"}


def test_who_has_a_lease_is_alive_however_old_it_may_be() -> None:
    speaker = Speaker()
    assert speaker.see(0.0, lease("a", "2001"), lease("b", "2099")) == members("a", "b")


def test_nothing_new_is_told_when_nothing_changes() -> None:
    speaker = Speaker()
    speaker.see(0.0, lease("a", 1))
    assert speaker.see(1.0, lease("a", 2)) == ()


def test_a_lease_at_first_sight_counts_for_one_duration() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.1, lease("a", 1))
    speaker.renew_until(5.0)
    assert speaker.renew(5.2) == members()


def test_who_renews_stays() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.1, lease("a", 0))
    for number in range(1, 30):
        assert speaker.see(number * 1.4, lease("a", number)) == ()
        assert speaker.renew(number * 1.4 + 0.7) == ()


def test_who_stops_is_gone_a_duration_after_the_last_renewal_was_seen() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1), lease("b", 1))
    for now in (1.0, 2.0, 3.0):
        speaker.renew(now)
    speaker.see(3.5, lease("a", 2), lease("b", 2))
    for now in (4.0, 5.0, 6.0, 7.0, 8.0, 8.4):
        assert speaker.see(now, lease("b", now)) == ()
        assert speaker.renew(now) == ()
    assert speaker.renew(8.5) == members("b")


def test_time_alone_buries_nobody() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    for now in (4.9, 5.1, 10.0, 1000.0):
        speaker.leases.handle_timeout(now, MIDDLE)
        assert speaker.leases.alive == {"me", "a"}


def test_a_renewal_of_ours_that_was_sent_too_early_proves_nothing() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    assert speaker.renew(4.9, took=0.2) == (), "a may have renewed since"
    assert speaker.renew(5.2) == members()


def test_an_older_renewal_of_ours_proves_nothing() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    early = speaker.send(4.5)
    late = speaker.send(5.2)
    assert speaker.see(5.3, early) == ()
    assert speaker.see(5.4, late) == members()


def test_another_who_writes_our_lease_proves_nothing() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    speaker.send(5.5)
    assert speaker.see(5.6, lease("me", "by another", holder="me_2")) == ()


def test_in_a_list_the_own_lease_may_come_before_a_newer_one() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("z", 1))
    speaker.renew_until(4.0)
    assert speaker.see(5.5, speaker.send(5.4), lease("z", 2)) == ()


def test_somebody_s_label_on_a_lease_is_no_renewal() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    labelled = ObjectMeta("speaker-a", labels={**LABELS, "by": "hand"}, resource_version="9")
    speaker.see(4.0, Lease(metadata=labelled, spec=lease("a", 1).spec))
    assert speaker.renew(5.1) == members()


@pytest.mark.parametrize("holder", ["", None])
def test_who_releases_or_deletes_its_lease_is_gone_at_once(holder: str | None) -> None:
    speaker = Speaker()
    speaker.see(0.0, lease("a", 1), lease("b", 1))
    if holder is None:
        assert speaker.see(0.1, gone="a") == members("b")
    else:
        assert speaker.see(0.1, lease("a", 2, holder="")) == members("b")


def test_a_lease_that_nobody_holds_is_nobody_s_at_first_sight_too() -> None:
    assert Speaker().see(0.0, lease("a", 1, holder="")) == ()


def test_who_was_gone_is_back_with_the_next_renewal() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    assert speaker.renew(5.0) == members()
    assert speaker.see(60.0, lease("a", 1)) == (), "the same Lease again is no news"
    assert speaker.see(61.0, lease("a", 2)) == members("a")


def test_another_holder_is_a_renewal() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    speaker.see(4.5, lease("a", 1, holder="a_2"))
    assert speaker.renew(5.1) == ()


@pytest.mark.parametrize("trouble", [Failed(), Unreachable()])
def test_after_trouble_everybody_gets_a_whole_duration(trouble: Failed | Unreachable) -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    speaker.leases.receive(trouble, 4.5)
    assert speaker.renew(5.5) == ()
    for now in (6.5, 7.5, 8.5, 9.5, 10.4):
        assert speaker.renew(now) == ()
    assert speaker.renew(10.5) == members()


def test_after_a_silence_everybody_gets_a_whole_duration() -> None:
    """Nothing failed, and nothing came: the watch, or this process, stood still."""
    speaker = Speaker()
    assert pytest.approx(2.3) == T.pause
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(3.0)
    assert speaker.renew(5.4) == ()
    for now in (6.4, 7.4, 8.4, 9.4, 10.3):
        assert speaker.renew(now) == ()
    assert speaker.renew(10.4) == members()


def test_while_the_api_server_is_slow_nobody_expires() -> None:
    """Slow is one that does not tell a renewal before it is time for the next."""
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    returning = speaker.send(1.5)
    for number in range(2, 20):
        sent = speaker.send(number * 1.5)
        assert speaker.see(number * 1.5 + 0.1, returning) == ()
        returning = sent
    assert speaker.see(28.6, returning) == ()
    for now in (30.0, 32.0, 33.5):
        assert speaker.renew(now) == ()
    assert speaker.renew(33.6) == members()


def test_who_was_gone_before_trouble_stays_gone() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1))
    speaker.renew_until(4.0)
    assert speaker.renew(5.0) == members()
    speaker.leases.receive(Unreachable(), 6.0)
    assert speaker.renew(7.0) == ()
    assert speaker.leases.alive == {"me"}


def test_the_own_node_is_alive_whatever_is_said() -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    assert speaker.see(0.1, gone="me") == ()
    assert speaker.see(0.2, lease("me", 1, holder="")) == ()
    speaker.leases.receive(Failed(), 100.0)
    assert speaker.leases.alive == {"me"}


@pytest.mark.parametrize(("says", "lasts"), [(20, 20), (1, 5), (0, 5), (-3, 5), (10**9, LONGEST)])
def test_a_lease_lasts_as_long_as_it_says_within_reason(says: int, lasts: int) -> None:
    speaker = Speaker()
    speaker.renew(0.0)
    speaker.see(0.0, lease("a", 1, seconds=says))
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
def test_whose_a_lease_is(name: str, labels: dict[str, str] | None, node: str) -> None:
    assert node_of(Lease(metadata=ObjectMeta(name, labels=labels and dict(labels)))) == node


@pytest.mark.parametrize(("chance", "interval"), [(0.0, 1.2), (0.5, 1.5), (0.9999, 1.8)])
def test_renewals_are_spread_by_chance(chance: float, interval: float) -> None:
    leases = Leases("me", T, 100.0)
    assert leases.handle_timeout(99.9, chance) == ()
    assert leases.handle_timeout(100.0, chance) == (Renew(1.0),)
    assert leases.handle_timeout(100.1, chance) == ()
    assert leases.next_deadline() == pytest.approx(100.0 + interval, abs=0.001)


def test_a_renewal_that_failed_is_tried_again_soon_and_then_less_often() -> None:
    leases = Leases("me", T, 0.0)
    now, waits = 0.0, []
    for _ in range(6):
        assert leases.handle_timeout(now, 0.0) == (Renew(1.0),)
        leases.receive(Failed(), now)
        waits.append(round(leases.next_deadline() - now, 3))
        now = leases.next_deadline()
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5]
    leases.handle_timeout(now, 0.0)
    leases.receive(Renewed(), now)
    assert leases.next_deadline() == pytest.approx(now + 1.2)


@pytest.mark.parametrize("taken", [None, lease("me", 1, holder="")])
def test_an_own_lease_that_another_took_away_is_made_anew_soon(taken: Lease | None) -> None:
    speaker = Speaker()
    speaker.leases.handle_timeout(0.0, MIDDLE)
    speaker.renew(0.0)
    speaker.leases.receive(Seen({"me": taken}), 0.1)
    assert speaker.leases.next_deadline() == pytest.approx(0.2)
