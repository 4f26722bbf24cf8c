"""Schedule of joins to the gossip cluster."""

from __future__ import annotations

from ipaddress import ip_address

from speaker.membership.join_scheduler import JOIN_TIMEOUT, MAX_CONCURRENT_JOINS, JoinScheduler

A, B, C = (ip_address(f"192.0.2.{n}") for n in (1, 2, 3))


def joining(*addresses: object) -> JoinScheduler:
    made = JoinScheduler()
    made.pods([a for a in (A, B, C) if a in addresses], 0.0)
    return made


def test_all_pods_are_joined_at_once_and_each_by_one_join_at_a_time() -> None:
    made = joining(A, B)
    assert set(made.handle_timeout(0.0)) == {A, B}
    assert made.handle_timeout(1.0) == ()
    assert not made.complete


def test_concurrent_joins_are_limited_until_some_end_or_time_out() -> None:
    made = JoinScheduler()
    made.pods([ip_address(f"192.0.2.{n}") for n in range(100)], 0.0)
    first = made.handle_timeout(0.0)
    assert len(first) == MAX_CONCURRENT_JOINS
    made.ended(first[0], 0.1, joined=False, random_fraction=0.0)
    assert len(made.handle_timeout(0.1)) == 1
    assert made.handle_timeout(0.2) == ()
    assert made.next_deadline() == JOIN_TIMEOUT
    assert len(made.handle_timeout(JOIN_TIMEOUT)) == MAX_CONCURRENT_JOINS - 1


def test_joins_are_complete_when_all_were_tried_even_without_success() -> None:
    made = joining(A, B)
    made.handle_timeout(0.0)
    made.ended(A, 0.1, joined=False, random_fraction=0.0)
    assert not made.complete
    made.ended(B, 0.1, joined=False, random_fraction=0.0)
    assert made.complete


def test_joins_are_complete_without_other_pods() -> None:
    assert joining().complete


def test_after_a_first_success_pending_joins_are_not_waited_for() -> None:
    made = joining(A, B)
    made.handle_timeout(0.0)
    made.ended(A, 0.1, joined=True, random_fraction=0.0)
    made.members([A], 0.1)
    assert not made.complete
    assert made.next_deadline() == 0.1 + JOIN_TIMEOUT
    made.handle_timeout(0.1 + JOIN_TIMEOUT)
    assert made.complete


def test_a_pod_that_became_a_member_in_between_needs_no_join() -> None:
    made = joining(A, B)
    made.handle_timeout(0.0)
    made.ended(A, 0.1, joined=True, random_fraction=0.0)
    made.members([A, B], 0.1)
    assert made.complete
    assert made.next_deadline() is None


def test_a_failed_join_is_retried_with_backoff_and_logged_once() -> None:
    made = joining(A)
    to_log, times, now = [], [], 0.0
    for _ in range(12):
        assert made.handle_timeout(now) == (A,)
        to_log.append(made.ended(A, now, joined=False, random_fraction=0.0))
        due = made.next_deadline()
        assert due is not None
        times.append(due - now)
        now = due
    assert to_log == [True] + [False] * 11
    assert times == sorted(times)
    assert (times[0], times[-1]) == (0.5, 30.0)


def test_a_join_without_a_new_member_is_retried_with_backoff() -> None:
    made = joining(A)  # the member has another address than its pod
    to_log, times, now = [], [], 0.0
    for _ in range(8):
        assert made.handle_timeout(now) == (A,)
        to_log.append(made.ended(A, now, joined=True, random_fraction=0.0))
        made.members([B], now)
        due = made.next_deadline()
        assert due is not None
        times.append(due - now)
        now = due
    assert to_log == [True] + [False] * 7
    assert times == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_new_pod_is_joined_at_once() -> None:
    made = joining(A)
    made.handle_timeout(0.0)
    made.pods([A, B], 5.0)
    assert made.handle_timeout(5.0) == (B,)


def test_a_lost_member_is_joined_again() -> None:
    made = joining(A)
    made.handle_timeout(0.0)
    made.ended(A, 0.1, joined=True, random_fraction=0.0)
    made.members([A], 0.1)
    made.members([], 60.0)
    assert made.handle_timeout(60.0) == ()
    assert made.handle_timeout(62.0) == (A,)


def test_a_deleted_pod_is_forgotten() -> None:
    made = joining(A)
    made.handle_timeout(0.0)
    made.pods([], 0.5)
    made.ended(A, 1.0, joined=False, random_fraction=0.0)
    assert made.next_deadline() is None


def test_jitter_spreads_the_joins_of_nodes() -> None:
    one, other = joining(A), joining(A)
    for made, random_fraction in ((one, 0.0), (other, 0.9)):
        made.handle_timeout(0.0)
        made.ended(A, 0.0, joined=False, random_fraction=random_fraction)
    assert one.next_deadline() != other.next_deadline()
