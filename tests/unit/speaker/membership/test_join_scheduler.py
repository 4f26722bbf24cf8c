"""Whom to join, and when."""

from __future__ import annotations

from ipaddress import ip_address

from speaker.membership.join_scheduler import AT_ONCE, GRACE, Joining

A, B, C = (ip_address(f"192.0.2.{n}") for n in (1, 2, 3))


def joining(*addresses: object) -> Joining:
    made = Joining()
    made.pods([a for a in (A, B, C) if a in addresses], 0.0)
    return made


def test_everybody_is_tried_at_once_and_once_at_a_time() -> None:
    made = joining(A, B)
    assert set(made.due(0.0)) == {A, B}
    assert made.due(1.0) == ()
    assert not made.complete


def test_of_many_a_few_are_tried_at_once_and_more_as_those_end_or_hang() -> None:
    made = Joining()
    made.pods([ip_address(f"192.0.2.{n}") for n in range(100)], 0.0)
    first = made.due(0.0)
    assert len(first) == AT_ONCE
    made.ended(first[0], 0.1, joined=False, chance=0.0)
    assert len(made.due(0.1)) == 1
    assert made.due(0.2) == ()
    assert made.next_deadline() == GRACE
    assert len(made.due(GRACE)) == AT_ONCE - 1


def test_it_is_complete_when_all_were_tried_whatever_came_of_it() -> None:
    made = joining(A, B)
    made.due(0.0)
    made.ended(A, 0.1, joined=False, chance=0.0)
    assert not made.complete
    made.ended(B, 0.1, joined=False, chance=0.0)
    assert made.complete


def test_alone_it_is_complete() -> None:
    assert joining().complete


def test_once_one_is_joined_those_that_hang_are_not_waited_for() -> None:
    made = joining(A, B)
    made.due(0.0)
    made.ended(A, 0.1, joined=True, chance=0.0)
    made.members([A], 0.1)
    assert not made.complete
    assert made.next_deadline() == 0.1 + GRACE
    made.handle_timeout(0.1 + GRACE)
    assert made.complete


def test_who_became_a_member_meanwhile_needs_no_join() -> None:
    made = joining(A, B)
    made.due(0.0)
    made.ended(A, 0.1, joined=True, chance=0.0)
    made.members([A, B], 0.1)
    assert made.complete
    assert made.next_deadline() is None


def test_a_failed_join_is_tried_again_ever_more_seldom_and_told_once() -> None:
    made = joining(A)
    told, times, now = [], [], 0.0
    for _ in range(12):
        assert made.due(now) == (A,)
        told.append(made.ended(A, now, joined=False, chance=0.0))
        due = made.next_deadline()
        assert due is not None
        times.append(due - now)
        now = due
    assert told == [True] + [False] * 11
    assert times == sorted(times)
    assert (times[0], times[-1]) == (0.5, 30.0)


def test_a_join_that_makes_no_member_is_not_tried_ever_again_at_once() -> None:
    made = joining(A)  # whose member has another address than its pod
    told, times, now = [], [], 0.0
    for _ in range(8):
        assert made.due(now) == (A,)
        told.append(made.ended(A, now, joined=True, chance=0.0))
        made.members([B], now)
        due = made.next_deadline()
        assert due is not None
        times.append(due - now)
        now = due
    assert told == [True] + [False] * 7
    assert times == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_new_pod_is_tried_at_once() -> None:
    made = joining(A)
    made.due(0.0)
    made.pods([A, B], 5.0)
    assert made.due(5.0) == (B,)


def test_a_member_that_was_lost_is_tried_again() -> None:
    made = joining(A)
    made.due(0.0)
    made.ended(A, 0.1, joined=True, chance=0.0)
    made.members([A], 0.1)
    made.members([], 60.0)
    assert made.due(60.0) == ()
    assert made.due(62.0) == (A,)


def test_a_pod_that_is_gone_is_forgotten() -> None:
    made = joining(A)
    made.due(0.0)
    made.pods([], 0.5)
    made.ended(A, 1.0, joined=False, chance=0.0)
    assert made.next_deadline() is None


def test_chance_keeps_nodes_apart() -> None:
    one, other = joining(A), joining(A)
    for made, chance in ((one, 0.0), (other, 0.9)):
        made.due(0.0)
        made.ended(A, 0.0, joined=False, chance=chance)
    assert one.next_deadline() != other.next_deadline()
