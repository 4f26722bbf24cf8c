from __future__ import annotations

from random import Random

from support.gossip_members import ME, endpoint, member, name

from metallb_py.protocols.memberlist.codec.messages import State
from metallb_py.protocols.memberlist.members import BURIED, Members
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.suspicion import Suspicion


def table(others: int) -> Members:
    members = Members(member(ME), Random(1), 0.0)
    for number in range(1, others + 1):
        members.put(member(number), 0.0)
    return members


def suspect(members: Members, number: int, now: float) -> Suspicion:
    record = members.get(name(number))
    assert record is not None
    suspicion = Suspicion(FAST, members.present, "x", now)
    members.suspect(record, record.member.incarnation, suspicion, now)
    return suspicion


def free(_: str) -> bool:
    return False


def test_this_member_is_in_the_table() -> None:
    members = table(0)
    assert members.me == member(ME)
    assert len(members) == members.present == 1
    assert members.next_to_probe(free) is None


def test_those_who_are_gone_are_known_but_not_present() -> None:
    members = table(3)
    members.put(member(1, State.DEAD), 1.0)
    members.put(member(2, State.LEFT), 1.0)
    assert (len(members), members.present) == (4, 2)
    members.put(member(1), 2.0)
    assert members.present == 3


def test_who_is_suspected_is_present() -> None:
    members = table(2)
    suspicion = suspect(members, 1, 5.0)
    record = members.get(name(1))
    assert record is not None
    assert record.member.state is State.SUSPECT
    assert members.present == 3
    assert members.suspected == {name(1): suspicion}


def test_a_suspicion_is_overdue_at_its_deadline() -> None:
    members = table(2)
    suspicion = suspect(members, 1, 5.0)
    assert members.overdue(suspicion.deadline - 0.01) == []
    ((record, found),) = members.overdue(suspicion.deadline)
    assert (record.member.name, found) == (name(1), suspicion)


def test_whatever_becomes_known_of_a_member_ends_its_suspicion() -> None:
    for state in (State.ALIVE, State.DEAD):
        members = table(2)
        suspect(members, 1, 5.0)
        members.put(member(1, state), 6.0)
        assert members.suspected == {}
        assert members.overdue(1000.0) == []


def test_an_answer_postpones_a_suspicion() -> None:
    members = table(1)
    suspicion = suspect(members, 1, 5.0)
    before = suspicion.deadline
    members.answered(member(1), 6.0)
    assert suspicion.deadline > before


def test_each_is_probed_once_a_round_in_another_order() -> None:
    members = table(20)
    rounds = []
    for _ in range(2):
        found = [members.next_to_probe(free) for _ in range(20)]
        rounds.append([record.member.name for record in found if record])
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(name(n) for n in range(1, 21))
    assert rounds[0] != rounds[1]


def test_who_is_gone_or_being_probed_is_passed_over() -> None:
    members = table(3)
    members.put(member(1, State.DEAD), 1.0)
    found = {members.next_to_probe(lambda n: n == name(2)) for _ in range(8)}
    assert {record.member.name for record in found if record} == {name(3)}


def test_a_new_member_has_its_turn_in_the_round_under_way() -> None:
    turns = []
    for seed in range(50):
        members = Members(member(ME), Random(seed), 0.0)
        for number in range(1, 11):
            members.put(member(number), 0.0)
        found = [members.next_to_probe(free) for _ in range(10)]
        turns.append([record.member.name for record in found if record].index(name(10)))
    assert {0, 9} <= set(turns)


def test_who_is_gone_is_forgotten_after_a_while() -> None:
    members = table(2)
    members.put(member(1, State.DEAD), 10.0)
    members.reap(9.9, 40.0)
    assert members.get(name(1)) is not None
    members.reap(10.0, 40.0)
    assert members.get(name(1)) is None
    assert members.at(endpoint(1)) is None
    assert [record.member.name for record in members] == [name(ME), name(2)]


def test_it_is_not_forgotten_anew_when_it_is_told_again_that_a_member_is_gone() -> None:
    members = table(1)
    members.put(member(1, State.DEAD, 10), 10.0)
    members.put(member(1, State.DEAD, 11), 20.0)
    members.reap(10.0, 40.0)
    assert members.get(name(1)) is None


def test_who_was_forgotten_is_remembered_as_such_for_some_time() -> None:
    members = table(1)
    members.put(member(1, State.DEAD), 10.0)
    members.reap(10.0, 40.0)
    assert members.buried(name(1), 40.0) == member(1, State.DEAD)
    assert members.buried(name(2), 40.0) is None
    assert members.buried(name(1), 40.0 + BURIED) is None
    members.put(member(1), 50.0)
    assert members.buried(name(1), 50.0) is None


def test_this_member_is_never_forgotten() -> None:
    members = table(1)
    members.put(member(ME, State.LEFT), 1.0)
    members.reap(100.0, 40.0)
    assert members.me == member(ME, State.LEFT)


def test_a_member_is_found_where_it_is_and_no_longer_where_it_was() -> None:
    members = table(2)
    members.put(member(1, State.LEFT), 1.0)
    moved = member(3)
    members.put(type(moved)(name(1), endpoint(3), 11, State.ALIVE), 2.0)
    assert members.at(endpoint(1)) is None
    record = members.at(endpoint(3))
    assert record is not None
    assert record.member.name == name(1)


def test_others_are_drawn_that_fit() -> None:
    members = table(5)
    drawn = members.draw(9, lambda record: record.member.name != name(1))
    assert {record.member.name for record in drawn} == {name(n) for n in range(2, 6)}
