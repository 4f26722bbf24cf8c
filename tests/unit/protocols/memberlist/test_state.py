from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from support.gossip_members import INCARNATION, ME, Bench, alive, endpoint, member, name, packets

from metallb_py.protocols.memberlist.awareness import Health
from metallb_py.protocols.memberlist.codec.envelope import Drop
from metallb_py.protocols.memberlist.codec.messages import (
    Alive,
    Dead,
    Endpoint,
    NodeState,
    State,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.events import (
    Accused,
    Effect,
    Member,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
)
from metallb_py.protocols.memberlist.members import LIMIT
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.state import INCARNATION_LIMIT, Rumours

SUSPECT = Suspect(INCARNATION, name(1), name(2))
DEAD = Dead(INCARNATION, name(1), name(2))
LEAVES = Dead(INCARNATION, name(1), name(1))


@dataclass
class Case(Bench):
    """What a member believes, who knows so many others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.health = Health(8)
        self.believes = Rumours(
            self.settings, self.members, self.post, self.health, self.tally, self.effects.append
        )

    def hear(self, *said: Alive | Suspect | Dead) -> list[Effect]:
        for message in said:
            match message:
                case Alive():
                    self.believes.alive(message, 1.0)
                case Suspect():
                    self.believes.suspect(message, 1.0)
                case Dead():
                    self.believes.dead(message, 1.0)
        return self.taken()

    def state(self, number: int) -> State | None:
        record = self.members.get(name(number))
        return None if record is None else record.member.state


# What is new


def test_a_member_that_is_not_known_joins() -> None:
    case = Case(0)
    assert case.hear(alive(1)) == [MemberUp(member(1))]
    assert case.rumours() == [alive(1)]


def test_what_is_known_is_not_passed_on() -> None:
    case = Case(2)
    assert case.hear(alive(1), alive(2, INCARNATION - 1)) == []
    assert case.rumours() == []


def test_metadata_changes_with_a_higher_incarnation_only() -> None:
    case = Case(1)
    assert case.hear(alive(1, meta=b"x")) == []
    changed = replace(member(1, incarnation=INCARNATION + 1), meta=b"x")
    assert case.hear(alive(1, INCARNATION + 1, b"x")) == [MemberChanged(changed)]


def test_a_member_without_a_port_has_the_usual_one() -> None:
    case = Case(0)
    case.hear(replace(alive(1), endpoint=Endpoint(endpoint(1).address, 0)))
    assert case.members.at(endpoint(1)) is not None


# Suspicion and death (SWIM, section 4.2)


def test_a_suspicion_is_told_and_passed_on() -> None:
    case = Case(3)
    told = case.hear(SUSPECT)
    assert told == [MemberSuspected(member(1, State.SUSPECT), name(2))]
    assert case.rumours() == [SUSPECT]
    assert name(1) in case.members.suspected


def test_another_that_agrees_is_passed_on_as_often_as_it_counts() -> None:
    case = Case(5)
    case.hear(SUSPECT)
    case.rumours()
    agrees = replace(SUSPECT, reporter=name(3))
    assert case.hear(agrees, SUSPECT) == []
    assert case.rumours() == [agrees]
    case.hear(replace(SUSPECT, reporter=name(4)))
    assert case.rumours() == []


@pytest.mark.parametrize("said", [SUSPECT, DEAD])
def test_nobody_is_accused_for_an_earlier_incarnation(said: Suspect | Dead) -> None:
    case = Case(2)
    assert case.hear(replace(said, incarnation=INCARNATION - 1)) == []
    assert case.state(1) is State.ALIVE


def test_a_contradiction_needs_a_higher_incarnation() -> None:
    case = Case(2)
    case.hear(SUSPECT)
    assert case.hear(alive(1)) == []
    trusted = case.hear(alive(1, INCARNATION + 1))
    assert trusted == [MemberTrusted(member(1, incarnation=INCARNATION + 1))]


def test_death_overrides_suspicion_and_life() -> None:
    for before in ((), (SUSPECT,)):
        case = Case(2)
        case.hear(*before)
        assert case.hear(DEAD) == [MemberDown(member(1, State.DEAD), name(2))]
        assert case.rumours()[-1] == DEAD
        assert case.members.suspected == {}


def test_the_dead_are_neither_suspected_nor_dead_again() -> None:
    case = Case(2)
    case.hear(DEAD)
    assert case.hear(replace(SUSPECT, incarnation=99), replace(DEAD, incarnation=99)) == []


def test_who_says_so_itself_has_left() -> None:
    case = Case(2)
    assert case.hear(LEAVES) == [MemberDown(member(1, State.LEFT), name(1))]


def test_the_dead_return_with_a_higher_incarnation() -> None:
    case = Case(2)
    case.hear(DEAD)
    assert case.hear(alive(1)) == []
    assert case.hear(alive(1, INCARNATION + 1)) == [
        MemberUp(member(1, incarnation=INCARNATION + 1))
    ]


def test_of_nobody_known_no_ill_is_believed() -> None:
    case = Case(0)
    assert case.hear(SUSPECT, DEAD) == []
    assert case.rumours() == []


# Addresses


def test_a_name_can_not_be_taken_from_somebody_who_is_there() -> None:
    case = Case(1)
    for before in ((), (SUSPECT,)):
        case.hear(*before)
        stolen = replace(alive(1, INCARNATION + 1), endpoint=endpoint(9))
        assert case.hear(stolen) == [NameConflict("n1", endpoint(1), endpoint(9))]
    assert case.tally.dropped[Drop.CONFLICT] == 2


def test_a_name_is_given_to_the_address_where_its_speaker_is_expected() -> None:
    case = Case(0)
    case.members.expect({"n1": frozenset({endpoint(1).address})})
    forged = replace(alive(1, INCARNATION + 1000), endpoint=endpoint(9))
    case.hear(forged)
    true = Member("n1", endpoint(1), INCARNATION, State.ALIVE)
    conflict = NameConflict("n1", endpoint(1), endpoint(9))
    assert case.hear(alive(1)) == [MemberChanged(true), conflict]
    assert case.hear(forged) == [conflict]
    assert case.members.get("n1").member == true


def test_where_both_are_expected_the_first_stays() -> None:
    case = Case(1)
    case.members.expect({"n1": frozenset({endpoint(1).address, endpoint(9).address})})
    stolen = replace(alive(1, INCARNATION + 1), endpoint=endpoint(9))
    assert case.hear(stolen) == [NameConflict("n1", endpoint(1), endpoint(9))]


def test_another_claim_to_this_members_name_is_told() -> None:
    case = Case(1)
    forged = replace(alive(ME, INCARNATION - 1), endpoint=endpoint(9))
    assert case.hear(forged) == [NameConflict("n0", endpoint(ME), endpoint(9))]


def test_who_is_expected_is_taken_in_however_full_the_table_is() -> None:
    case = Case(0)
    case.members.expect({"real": frozenset({endpoint(5).address})})
    for number in range(1, LIMIT + 20):
        case.members.put(member(number), 0.0)
    assert case.hear(Alive(1, "made up", endpoint(9))) == []
    assert case.tally.dropped[Drop.OVERSIZED] == 1
    (up,) = case.hear(Alive(1, "real", endpoint(5)))
    assert isinstance(up, MemberUp)


def test_the_dead_may_return_at_another_address() -> None:
    case = Case(1)
    case.hear(DEAD)
    moved = replace(alive(1, INCARNATION + 1), endpoint=endpoint(9))
    (up,) = case.hear(moved)
    assert isinstance(up, MemberUp)
    assert up.member.endpoint == endpoint(9)


def test_who_left_may_begin_anew_elsewhere_with_a_low_incarnation() -> None:
    case = Case(1)
    case.hear(LEAVES)
    assert case.hear(alive(1, 1)) == []  # at the same address it is an old rumour
    (up,) = case.hear(replace(alive(1, 1), endpoint=endpoint(9)))
    assert isinstance(up, MemberUp)


# About this member


@pytest.mark.parametrize("said", [SUSPECT, DEAD])
@pytest.mark.parametrize("named", [INCARNATION, INCARNATION + 5])
def test_who_is_accused_contradicts(said: Suspect | Dead, named: int) -> None:
    case = Case(2)
    accused = replace(said, node=name(ME), incarnation=named)
    assert case.hear(accused) == [Accused(name(2))]
    assert case.members.me.incarnation == named + 1
    assert case.rumours() == [alive(ME, named + 1)]
    assert case.health.score == 1


def test_an_earlier_life_of_this_member_is_overridden() -> None:
    case = Case(2)
    assert case.hear(alive(ME, INCARNATION + 7, b"old")) == []
    assert case.rumours() == [alive(ME, INCARNATION + 8)]


def test_what_this_member_says_itself_comes_round_and_is_nothing() -> None:
    case = Case(2)
    assert case.hear(alive(ME), alive(ME, INCARNATION - 1, b"old")) == []
    assert case.rumours() == []


def test_who_left_contradicts_nobody() -> None:
    case = Case(2)
    case.believes.left = True
    case.hear(replace(DEAD, node=name(ME)))
    case.hear(alive(ME, INCARNATION + 7))
    assert case.members.me.incarnation == INCARNATION


# All that another knows


def state(number: int, of: State, incarnation: int = INCARNATION) -> NodeState:
    return NodeState(name(number), endpoint(number), incarnation, of)


def test_what_another_knows_is_taken_over_but_its_dead_are_only_suspected() -> None:
    case = Case(4)
    states = (
        state(1, State.DEAD),
        state(2, State.SUSPECT),
        state(3, State.LEFT),
        state(9, State.ALIVE),
        state(8, State.DEAD),
    )
    news = case.believes.merge(states, 1.0)
    assert {found.name for found in news} == {name(1), name(2)}
    found = [case.state(number) for number in (1, 2, 3, 9, 8)]
    assert found == [State.SUSPECT, State.SUSPECT, State.LEFT, State.ALIVE, None]


def test_news_is_told_to_nobody_twice() -> None:
    case = Case(2)
    assert case.believes.merge((state(1, State.DEAD),), 1.0)
    assert case.believes.merge((state(1, State.DEAD),), 2.0) == []


# Limits


def test_the_table_does_not_grow_without_bound() -> None:
    case = Case(0)
    for number in range(LIMIT + 10):
        case.believes.alive(alive(number + 1), 0.0)
    assert len(case.members) == LIMIT
    assert case.tally.dropped[Drop.OVERSIZED] == 11


@pytest.mark.parametrize(
    "said",
    [alive(1, INCARNATION_LIMIT), replace(SUSPECT, incarnation=INCARNATION_LIMIT)],
    ids=["alive", "suspect"],
)
def test_an_incarnation_that_could_hardly_be_contradicted_is_not_believed(
    said: Alive | Suspect,
) -> None:
    case = Case(2)
    assert case.hear(said) == []
    assert case.tally.dropped[Drop.MALFORMED] == 1


@pytest.mark.parametrize(
    ("versions", "understood"),
    [
        (Versions(), True),
        (Versions(0, 0, 0, 0, 0, 0), True),
        (Versions(1, 5, 5), True),
        (Versions(3, 5, 3), False),
        (Versions(1, 1, 1), False),
        (Versions(6, 9, 6), False),
    ],
)
def test_who_speaks_another_language_is_not_taken_in(versions: Versions, understood: bool) -> None:
    case = Case(0)
    case.hear(replace(alive(1), versions=versions))
    assert (case.members.get(name(1)) is not None) == understood


def buried(state: State = State.DEAD, *, eager: bool = True) -> Case:
    """A member that has forgotten another which is gone."""
    case = Case(2, replace(FAST, eager=eager))
    case.members.put(member(1, state), 1.0)
    case.members.reap(1.0, 1.0)
    case.taken()
    assert case.state(1) is None
    return case


def test_the_dead_do_not_come_back_by_hearsay_but_are_asked() -> None:
    case = buried()
    accusation = Suspect(INCARNATION, name(1), name(ME))
    assert packets(case.hear(alive(1))) == [(endpoint(1), (accusation,))]
    assert case.state(1) is None
    assert case.hear(replace(alive(1), endpoint=endpoint(9))) == [], "nobody else is asked"


def test_who_contradicts_its_burial_is_there() -> None:
    case = buried()
    assert any(isinstance(e, MemberUp) for e in case.hear(alive(1, INCARNATION + 1)))
    assert case.state(1) is State.ALIVE


def test_who_left_may_begin_anew_elsewhere() -> None:
    case = buried(State.LEFT)
    moved = replace(alive(1, 1), endpoint=endpoint(9))
    assert any(isinstance(e, MemberUp) for e in case.hear(moved))


def test_memberlists_own_way_knows_no_graves() -> None:
    case = buried(eager=False)
    assert any(isinstance(e, MemberUp) for e in case.hear(alive(1)))
