"""Leader election, rule by rule."""

from __future__ import annotations

from metallb_py.kube.leader_election import (
    Absent,
    Conflict,
    Durations,
    Effect,
    Election,
    Failed,
    Follow,
    Found,
    Lead,
    LeadershipLost,
    Read,
    Write,
)
from metallb_py.kube.objects import Lease, LeaseSpec, ObjectMeta

D = Durations(lease=2, deadline=1.4, renew=0.5, poll=0.25, attempt=0.7)


def lease(holder: str, version: int = 1, *, transitions: int = 3, seconds: int = 2) -> Lease:
    """Return a lease whose times, all by another clock, differ with every version."""
    return Lease(
        metadata=ObjectMeta("x", resource_version=str(version)),
        spec=LeaseSpec(holder, seconds, "2001-01-01T00:00:00Z", f"renewed {version}", transitions),
    )


def waiting(seen: Lease, now: float = 0.0) -> Election:
    """Return a candidate that observes this lease for the first time."""
    election = Election("me", D, now)
    assert election.handle_timeout(now) == (Read(0.7),)
    election.receive(Found(seen), now)
    return election


def leading(now: float = 0.0) -> Election:
    """Return a candidate that acquired a released lease; its version is 2."""
    election = Election("me", D, now)
    election.handle_timeout(now)
    (write,) = election.receive(Found(lease("", 1)), now)
    assert write == Write(0.7, "me", 4, None, "1")
    assert election.receive(Found(lease("me", 2, transitions=4)), now) == (Lead(now + 1.4),)
    return election


def poll(election: Election, answer: Found | Absent | Conflict | Failed) -> tuple[Effect, ...]:
    """Let a candidate read when it is due, and answer at once; return the effects."""
    now = election.next_deadline()
    assert now is not None
    assert election.handle_timeout(now) == (Read(0.7),)
    return election.receive(answer, now)


def test_released_lease_is_acquired_at_once() -> None:
    assert leading().next_deadline() == 0.5


def test_lease_without_renewal_is_acquired_exactly_after_its_duration() -> None:
    election = waiting(lease("other", 7))
    for _ in range(7):
        assert poll(election, Found(lease("other", 7))) == ()
    assert election.next_deadline() == 2.0
    assert election.handle_timeout(2.0) == (Write(0.7, "me", 4, None, "7"),)


def test_each_renewal_restarts_the_lease_duration() -> None:
    election = waiting(lease("other", 1))
    for version in range(2, 30):
        assert poll(election, Found(lease("other", version))) == ()


def test_renewal_counts_from_its_observation_not_from_its_renew_time() -> None:
    election = waiting(lease("other", 1), now=100.0)
    assert election.handle_timeout(101.9) == (Read(0.7),)
    assert election.receive(Found(lease("other", 2)), 101.9) == ()
    assert election.handle_timeout(103.8) == (Read(0.7),)
    assert election.receive(Found(lease("other", 2)), 103.8) == ()
    assert election.next_deadline() == 103.9


def test_change_of_metadata_alone_is_not_a_renewal() -> None:
    election = waiting(lease("other", 1))
    touched = Lease(ObjectMeta("x", resource_version="9", labels={"a": "b"}), lease("other").spec)
    assert election.handle_timeout(1.0) == (Read(0.7),)
    election.receive(Found(touched), 1.0)
    assert election.handle_timeout(2.0) == (Write(0.7, "me", 4, None, "9"),)


def test_lease_touched_just_before_expiry_is_reread_and_acquired() -> None:
    election = waiting(lease("other", 1))
    touched = Lease(ObjectMeta("x", resource_version="9", labels={"a": "b"}), lease("other").spec)
    election.handle_timeout(2.0)
    assert election.receive(Conflict(), 2.1) == (Read(0.7),)
    assert election.receive(Found(touched), 2.2) == (Write(0.7, "me", 4, None, "9"),)


def test_longer_lease_duration_of_the_holder_is_respected() -> None:
    slow = lease("other", 1, seconds=15)
    election = waiting(slow)
    election.handle_timeout(14.9)
    assert election.receive(Found(slow), 14.9) == ()
    assert election.handle_timeout(15.0) == (Write(0.7, "me", 4, None, "1"),)


def test_new_leader_is_reported_once() -> None:
    election = Election("me", D, 0.0)
    election.handle_timeout(0.0)
    assert election.receive(Found(lease("a", 1)), 0.0) == (Follow("a"),)
    assert poll(election, Found(lease("a", 2))) == ()
    assert poll(election, Found(lease("b", 3))) == (Follow("b"),)


def test_candidate_follows_when_another_acquires_the_lease_first() -> None:
    election = waiting(lease("dead", 1))
    assert election.handle_timeout(2.0) == (Write(0.7, "me", 4, None, "1"),)
    assert election.receive(Conflict(), 2.1) == (Read(0.7),)
    assert election.receive(Found(lease("faster", 2)), 2.1) == (Follow("faster"),)
    assert election.next_deadline() == 2.35


def test_time_without_a_response_does_not_count_towards_expiry() -> None:
    election = waiting(lease("other", 1))
    assert poll(election, Failed()) == ()
    election.handle_timeout(10.0)
    assert election.receive(Found(lease("other", 1)), 10.0) == ()
    election.handle_timeout(11.9)
    assert election.receive(Found(lease("other", 1)), 11.9) == ()
    assert election.handle_timeout(12.0) == (Write(0.7, "me", 4, None, "1"),)


def test_missing_lease_is_created_after_a_whole_lease_duration() -> None:
    election = Election("me", D, 0.0)
    election.handle_timeout(0.0)
    assert election.receive(Absent(), 0.0) == ()
    election.handle_timeout(1.9)
    assert election.receive(Absent(), 1.9) == ()
    assert election.handle_timeout(2.0) == (Write(0.7, "me", 0, None, ""),)
    assert election.receive(Found(lease("me", 1)), 2.1) == (Lead(3.4),)


def test_failed_lease_creation_is_retried_after_the_poll_interval() -> None:
    election = Election("me", D, 0.0)
    for now in (0.0, 2.0):
        election.handle_timeout(now)
        election.receive(Absent(), now)
    assert election.receive(Absent(), 2.0) == ()
    assert election.next_deadline() == 2.25


def test_a_leader_renews_without_reading() -> None:
    election = leading()
    renewal = Write(0.7, "me", 4, "2001-01-01T00:00:00Z", "2")
    assert election.handle_timeout(0.5) == (renewal,)
    assert election.receive(Found(lease("me", 3, transitions=4)), 0.6) == (Lead(1.9),)
    assert election.next_deadline() == 1.0


def test_leadership_counts_from_when_the_renewal_was_sent() -> None:
    election = leading()
    election.handle_timeout(0.5)
    assert election.receive(Found(lease("me", 3)), 1.3) == (Lead(1.9),)


def test_leader_that_cannot_renew_stops_at_the_renew_deadline() -> None:
    election = leading()
    requests = []
    while (now := election.next_deadline()) is not None and now < 1.4:
        requests += election.handle_timeout(now)
        assert election.receive(Failed(), now + 0.1) == ()
    assert len(requests) >= 3
    assert all(isinstance(e, Write) and e.within <= 0.7 for e in requests)
    (lost,) = election.handle_timeout(1.4)
    assert isinstance(lost, LeadershipLost)


def test_request_timeout_does_not_exceed_the_renew_deadline() -> None:
    election = leading()
    election.handle_timeout(0.5)
    election.receive(Failed(), 1.2)
    (write,) = election.handle_timeout(1.2)
    assert isinstance(write, Write)
    assert abs(write.within - 0.2) < 1e-6


def test_renewal_confirmed_after_the_renew_deadline_is_too_late() -> None:
    election = leading()
    election.handle_timeout(0.5)
    (lost,) = election.receive(Found(lease("me", 3)), 1.4)
    assert isinstance(lost, LeadershipLost)


def test_acquisition_confirmed_after_the_renew_deadline_is_none() -> None:
    election = waiting(lease("", 1))
    assert election.receive(Found(lease("me", 2)), 1.4) == ()
    assert election.next_deadline() == 1.4


def test_a_leader_that_finds_another_holder_stops_at_once() -> None:
    election = leading()
    election.handle_timeout(0.5)
    (read,) = election.receive(Conflict(), 0.6)
    assert isinstance(read, Read)
    assert election.receive(Found(lease("other", 9)), 0.7) == (
        LeadershipLost("other holds the lease"),
        Follow("other"),
    )


def test_conflict_with_its_own_earlier_write_keeps_leadership() -> None:
    election = leading()
    election.handle_timeout(0.5)
    election.receive(Failed(), 0.7)  # the write arrived, its response was lost
    election.handle_timeout(0.75)
    election.receive(Conflict(), 0.8)
    (write,) = election.receive(Found(lease("me", 3, transitions=4)), 0.9)
    assert isinstance(write, Write)
    assert (write.version, write.transitions) == ("3", 4)
    assert election.receive(Found(lease("me", 4)), 1.0) == (Lead(0.9 + 1.4),)


def test_deleted_lease_is_recreated_by_its_leader() -> None:
    election = leading()
    election.handle_timeout(0.5)
    (write,) = election.receive(Absent(), 0.6)
    assert isinstance(write, Write)
    assert (write.holder, write.version) == ("me", "")


def test_former_leader_waits_even_if_the_lease_still_names_it() -> None:
    election = leading()
    election.handle_timeout(1.4)
    own = lease("me", 2)
    assert poll(election, Found(own)) == ()
    assert election.next_deadline() == 1.65
    assert election.handle_timeout(3.4) == (Write(0.7, "me", 4, None, "2"),)


def test_only_the_leader_releases_the_lease() -> None:
    assert leading().release(0.3) == (Write(0.7, "", 4, "2001-01-01T00:00:00Z", "2"),)
    assert leading().release(1.4) == ()
    assert waiting(lease("other")).release(0.3) == ()


def test_no_request_is_sent_while_one_is_outstanding() -> None:
    election = leading()
    election.handle_timeout(0.5)
    assert election.next_deadline() is None
    assert election.handle_timeout(9.0) == ()
    (lost,) = election.receive(Failed(), 9.0)
    assert isinstance(lost, LeadershipLost)


def test_longer_lease_scales_all_durations() -> None:
    assert Durations.for_lease(2) == D
    longer = Durations.for_lease(20)
    assert (longer.lease, round(longer.deadline, 6), longer.renew) == (20, 14.0, 5.0)
