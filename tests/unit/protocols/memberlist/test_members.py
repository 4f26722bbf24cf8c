from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from support.gossip.members import ME, endpoint, member, name_of, table

from metallb_py.protocols.memberlist.codec.messages import State
from metallb_py.protocols.memberlist.members import TOMBSTONE_SECONDS, Members, sample
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.suspicion import Suspicion


def suspect(members: Members, number: int, now: float) -> Suspicion:
    suspicion = Suspicion(FAST, members.present, "x", now)
    members.put(member(number, State.SUSPECT), now, suspicion)
    return suspicion


def not_probing(_: str) -> bool:
    return False


def test_local_member_is_in_the_table() -> None:
    members = table(0)
    assert members.me == member(ME)
    assert len(members) == members.present == 1
    assert members.next_to_probe(not_probing) is None


def test_dead_and_left_members_are_known_but_not_present() -> None:
    members = table(3)
    members.put(member(1, State.DEAD), 1.0)
    members.put(member(2, State.LEFT), 1.0)
    assert (len(members), members.present) == (4, 2)
    members.put(member(1), 2.0)
    assert members.present == 3


def test_suspect_is_present() -> None:
    members = table(2)
    suspicion = suspect(members, 1, 5.0)
    record = members.get(name_of(1))
    assert record is not None
    assert record.member.state is State.SUSPECT
    assert members.present == 3
    assert record.suspicion is suspicion
    assert members.suspected == {name_of(1): suspicion}


def test_suspicion_is_overdue_at_its_deadline() -> None:
    members = table(2)
    suspicion = suspect(members, 1, 5.0)
    assert members.overdue(suspicion.deadline - 0.01) == []
    ((record, found),) = members.overdue(suspicion.deadline)
    assert (record.member.name, found) == (name_of(1), suspicion)


def test_confirmation_is_added_to_the_suspicion_of_a_suspect_only() -> None:
    members = table(4)
    suspicion = suspect(members, 1, 5.0)
    members.confirm(name_of(1), "y")
    members.confirm(name_of(2), "y")
    assert suspicion.confirmations == 1
    assert members.suspected.keys() == {name_of(1)}


def test_alive_or_dead_state_ends_the_suspicion() -> None:
    for state in (State.ALIVE, State.DEAD):
        members = table(2)
        suspect(members, 1, 5.0)
        members.put(member(1, state), 6.0)
        assert members.suspected == {}
        assert members.overdue(1000.0) == []


def test_ack_postpones_the_deadline_of_a_suspicion() -> None:
    members = table(1)
    suspicion = suspect(members, 1, 5.0)
    before = suspicion.deadline
    members.answered(member(1), 6.0)
    assert suspicion.deadline > before


def test_each_member_is_probed_once_a_round_in_a_new_order() -> None:
    members = table(20)
    rounds = []
    for _ in range(2):
        found = [members.next_to_probe(not_probing) for _ in range(20)]
        rounds.append([record.member.name for record in found if record])
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(name_of(n) for n in range(1, 21))
    assert rounds[0] != rounds[1]


def test_dead_members_and_running_probes_are_skipped() -> None:
    members = table(3)
    members.put(member(1, State.DEAD), 1.0)
    found = {members.next_to_probe(lambda n: n == name_of(2)) for _ in range(8)}
    assert {record.member.name for record in found if record} == {name_of(3)}


def test_new_member_is_probed_in_the_current_round() -> None:
    turns = []
    for seed in range(50):
        members = Members(member(ME), Random(seed), 0.0)
        for number in range(1, 11):
            members.put(member(number), 0.0)
        found = [members.next_to_probe(not_probing) for _ in range(10)]
        turns.append([record.member.name for record in found if record].index(name_of(10)))
    assert {0, 9} <= set(turns)


def test_dead_member_is_reaped_after_a_while() -> None:
    members = table(2)
    members.put(member(1, State.DEAD), 10.0)
    members.reap(9.9, 40.0)
    assert members.get(name_of(1)) is not None
    members.reap(10.0, 40.0)
    assert members.get(name_of(1)) is None
    assert members.at(endpoint(1)) is None
    assert [record.member.name for record in members] == [name_of(ME), name_of(2)]


def test_repeated_dead_state_does_not_postpone_the_reaping() -> None:
    members = table(1)
    members.put(member(1, State.DEAD, 10), 10.0)
    members.put(member(1, State.DEAD, 11), 20.0)
    members.reap(10.0, 40.0)
    assert members.get(name_of(1)) is None


def test_reaped_member_leaves_a_tombstone_for_some_time() -> None:
    members = table(1)
    members.put(member(1, State.DEAD), 10.0)
    members.reap(10.0, 40.0)
    assert members.tombstone(name_of(1), 40.0) == member(1, State.DEAD)
    assert members.tombstone(name_of(2), 40.0) is None
    assert members.tombstone(name_of(1), 40.0 + TOMBSTONE_SECONDS) is None
    members.put(member(1), 50.0)
    assert members.tombstone(name_of(1), 50.0) is None


def test_local_member_is_never_reaped() -> None:
    members = table(1)
    members.put(member(ME, State.LEFT), 1.0)
    members.reap(100.0, 40.0)
    assert members.me == member(ME, State.LEFT)


def test_member_is_found_only_at_its_current_endpoint() -> None:
    members = table(2)
    members.put(member(1, State.LEFT), 1.0)
    moved = member(3)
    members.put(type(moved)(name_of(1), endpoint(3), 11, State.ALIVE), 2.0)
    assert members.at(endpoint(1)) is None
    record = members.at(endpoint(3))
    assert record is not None
    assert record.member.name == name_of(1)


def test_sample_has_other_members_that_match() -> None:
    members = table(5)
    drawn = members.sample(9, lambda record: record.member.name != name_of(1))
    assert {record.member.name for record in drawn} == {name_of(n) for n in range(2, 6)}


@pytest.mark.parametrize("size", [0, 1, 2, 8, 9, 10, 100])
def test_sample_has_distinct_elements_that_match(size: int) -> None:
    rng = Random(1)
    among = list(range(size))
    expected = min(3, len(among[::2]))
    fewer = 0
    for _ in range(200):
        found = sample(rng, 3, among, lambda n: n % 2 == 0)
        assert len(set(found)) == len(found) <= expected
        assert all(n % 2 == 0 for n in found)
        fewer += len(found) < expected
    assert fewer <= (10 if size > 9 else 0)  # rare, and only where it draws at random


def test_sample_is_uniform() -> None:
    rng = Random(1)
    drawn = Counter(n for _ in range(8000) for n in sample(rng, 2, range(20), lambda _: True))
    assert all(700 < drawn[n] < 900 for n in range(20))


def test_sample_of_many_inspects_only_a_few() -> None:
    inspected: list[int] = []

    def never(n: int) -> bool:
        inspected.append(n)
        return False

    assert sample(Random(1), 3, range(10_000), never) == ()
    assert len(inspected) < 30


def test_same_seed_gives_the_same_sample() -> None:
    draws = [sample(Random(5), 3, range(100), lambda _: True) for _ in range(2)]
    assert draws[0] == draws[1]
