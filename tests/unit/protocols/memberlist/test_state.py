from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from support.gossip.members import INCARNATION, ME, Bench, alive, endpoint, member, name, packets

from metallb_py.protocols.memberlist.awareness import Awareness
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
    Effect,
    Member,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    SelfSuspected,
)
from metallb_py.protocols.memberlist.members import LIMIT
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.state import INCARNATION_LIMIT, MembershipState

SUSPECT = Suspect(INCARNATION, name(1), name(2))
DEAD = Dead(INCARNATION, name(1), name(2))
LEAVES = Dead(INCARNATION, name(1), name(1))


@dataclass
class Case(Bench):
    """The membership state of a member with ``others`` other members."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.health = Awareness(8)
        self.membership = MembershipState(
            self.settings,
            self.members,
            self.sender,
            self.health,
            self.counters,
            self.effects.append,
        )

    def receive(self, *messages: Alive | Suspect | Dead) -> list[Effect]:
        for message in messages:
            match message:
                case Alive():
                    self.membership.alive(message, 1.0)
                case Suspect():
                    self.membership.suspect(message, 1.0)
                case Dead():
                    self.membership.dead(message, 1.0)
        return self.taken()

    def state(self, number: int) -> State | None:
        record = self.members.get(name(number))
        return None if record is None else record.member.state


# Alive messages


def test_alive_message_of_an_unknown_member_adds_it() -> None:
    case = Case(0)
    assert case.receive(alive(1)) == [MemberUp(member(1))]
    assert case.broadcasts() == [alive(1)]


def test_alive_message_that_changes_nothing_is_not_rebroadcast() -> None:
    case = Case(2)
    assert case.receive(alive(1), alive(2, INCARNATION - 1)) == []
    assert case.broadcasts() == []


def test_metadata_changes_with_a_higher_incarnation_only() -> None:
    case = Case(1)
    assert case.receive(alive(1, meta=b"x")) == []
    changed = replace(member(1, incarnation=INCARNATION + 1), meta=b"x")
    assert case.receive(alive(1, INCARNATION + 1, b"x")) == [MemberChanged(changed)]


def test_member_without_a_port_gets_the_default_port() -> None:
    case = Case(0)
    case.receive(replace(alive(1), endpoint=Endpoint(endpoint(1).address, 0)))
    assert case.members.at(endpoint(1)) is not None


# Suspicion and death (SWIM, section 4.2)


def test_suspect_message_is_reported_and_rebroadcast() -> None:
    case = Case(3)
    reported = case.receive(SUSPECT)
    assert reported == [MemberSuspected(member(1, State.SUSPECT), name(2))]
    assert case.broadcasts() == [SUSPECT]
    assert name(1) in case.members.suspected


def test_confirmation_is_rebroadcast_only_while_it_counts() -> None:
    case = Case(5)
    case.receive(SUSPECT)
    case.broadcasts()
    confirmation = replace(SUSPECT, reporter=name(3))
    assert case.receive(confirmation, SUSPECT) == []
    assert case.broadcasts() == [confirmation]
    case.receive(replace(SUSPECT, reporter=name(4)))
    assert case.broadcasts() == []


@pytest.mark.parametrize("message", [SUSPECT, DEAD])
def test_suspect_or_dead_message_of_an_earlier_incarnation_is_ignored(
    message: Suspect | Dead,
) -> None:
    case = Case(2)
    assert case.receive(replace(message, incarnation=INCARNATION - 1)) == []
    assert case.state(1) is State.ALIVE


def test_refutation_needs_a_higher_incarnation() -> None:
    case = Case(2)
    case.receive(SUSPECT)
    assert case.receive(alive(1)) == []
    trusted = case.receive(alive(1, INCARNATION + 1))
    assert trusted == [MemberTrusted(member(1, incarnation=INCARNATION + 1))]


def test_dead_overrides_suspect_and_alive() -> None:
    for before in ((), (SUSPECT,)):
        case = Case(2)
        case.receive(*before)
        assert case.receive(DEAD) == [MemberDown(member(1, State.DEAD), name(2))]
        assert case.broadcasts()[-1] == DEAD
        assert case.members.suspected == {}


def test_dead_member_is_neither_suspected_nor_declared_dead_again() -> None:
    case = Case(2)
    case.receive(DEAD)
    assert case.receive(replace(SUSPECT, incarnation=99), replace(DEAD, incarnation=99)) == []


def test_dead_message_of_a_member_about_itself_means_left() -> None:
    case = Case(2)
    assert case.receive(LEAVES) == [MemberDown(member(1, State.LEFT), name(1))]


def test_dead_member_returns_with_a_higher_incarnation() -> None:
    case = Case(2)
    case.receive(DEAD)
    assert case.receive(alive(1)) == []
    assert case.receive(alive(1, INCARNATION + 1)) == [
        MemberUp(member(1, incarnation=INCARNATION + 1))
    ]


def test_suspect_and_dead_messages_about_unknown_members_are_ignored() -> None:
    case = Case(0)
    assert case.receive(SUSPECT, DEAD) == []
    assert case.broadcasts() == []


# Addresses and name conflicts


def test_name_of_a_present_member_cannot_be_taken() -> None:
    case = Case(1)
    for before in ((), (SUSPECT,)):
        case.receive(*before)
        stolen = replace(alive(1, INCARNATION + 1), endpoint=endpoint(9))
        assert case.receive(stolen) == [NameConflict("n1", endpoint(1), endpoint(9))]
    assert case.counters.dropped[Drop.CONFLICT] == 2


def test_name_belongs_to_the_address_where_it_is_expected() -> None:
    case = Case(0)
    case.members.expect({"n1": frozenset({endpoint(1).address})})
    forged = replace(alive(1, INCARNATION + 1000), endpoint=endpoint(9))
    case.receive(forged)
    true = Member("n1", endpoint(1), INCARNATION, State.ALIVE)
    conflict = NameConflict("n1", endpoint(1), endpoint(9))
    assert case.receive(alive(1)) == [MemberChanged(true), conflict]
    assert case.receive(forged) == [conflict]
    assert case.members.get("n1").member == true


def test_first_of_two_expected_addresses_keeps_the_name() -> None:
    case = Case(1)
    case.members.expect({"n1": frozenset({endpoint(1).address, endpoint(9).address})})
    stolen = replace(alive(1, INCARNATION + 1), endpoint=endpoint(9))
    assert case.receive(stolen) == [NameConflict("n1", endpoint(1), endpoint(9))]


def test_conflict_over_the_name_of_this_member_is_reported() -> None:
    case = Case(1)
    forged = replace(alive(ME, INCARNATION - 1), endpoint=endpoint(9))
    assert case.receive(forged) == [NameConflict("n0", endpoint(ME), endpoint(9))]


def test_expected_member_is_added_even_to_a_full_table() -> None:
    case = Case(0)
    case.members.expect({"real": frozenset({endpoint(5).address})})
    for number in range(1, LIMIT + 20):
        case.members.put(member(number), 0.0)
    assert case.receive(Alive(1, "made up", endpoint(9))) == []
    assert case.counters.dropped[Drop.OVERSIZED] == 1
    (up,) = case.receive(Alive(1, "real", endpoint(5)))
    assert isinstance(up, MemberUp)


def test_dead_member_may_return_at_another_address() -> None:
    case = Case(1)
    case.receive(DEAD)
    moved = replace(alive(1, INCARNATION + 1), endpoint=endpoint(9))
    (up,) = case.receive(moved)
    assert isinstance(up, MemberUp)
    assert up.member.endpoint == endpoint(9)


def test_left_member_may_rejoin_elsewhere_with_a_low_incarnation() -> None:
    case = Case(1)
    case.receive(LEAVES)
    assert case.receive(alive(1, 1)) == []  # at the same address it is an outdated message
    (up,) = case.receive(replace(alive(1, 1), endpoint=endpoint(9)))
    assert isinstance(up, MemberUp)


# Messages about this member


@pytest.mark.parametrize("message", [SUSPECT, DEAD])
@pytest.mark.parametrize("named", [INCARNATION, INCARNATION + 5])
def test_suspected_member_refutes_with_a_higher_incarnation(
    message: Suspect | Dead, named: int
) -> None:
    case = Case(2)
    about_me = replace(message, node=name(ME), incarnation=named)
    assert case.receive(about_me) == [SelfSuspected(name(2))]
    assert case.members.me.incarnation == named + 1
    assert case.broadcasts() == [alive(ME, named + 1)]
    assert case.health.score == 1


def test_alive_message_of_an_earlier_run_is_overridden() -> None:
    case = Case(2)
    assert case.receive(alive(ME, INCARNATION + 7, b"old")) == []
    assert case.broadcasts() == [alive(ME, INCARNATION + 8)]


def test_own_alive_message_that_comes_back_is_ignored() -> None:
    case = Case(2)
    assert case.receive(alive(ME), alive(ME, INCARNATION - 1, b"old")) == []
    assert case.broadcasts() == []


def test_member_that_left_does_not_refute() -> None:
    case = Case(2)
    case.membership.left = True
    case.receive(replace(DEAD, node=name(ME)))
    case.receive(alive(ME, INCARNATION + 7))
    assert case.members.me.incarnation == INCARNATION


# Push-pull


def state(number: int, of: State, incarnation: int = INCARNATION) -> NodeState:
    return NodeState(name(number), endpoint(number), incarnation, of)


def test_push_pull_is_merged_with_dead_members_only_suspected() -> None:
    case = Case(4)
    states = (
        state(1, State.DEAD),
        state(2, State.SUSPECT),
        state(3, State.LEFT),
        state(9, State.ALIVE),
        state(8, State.DEAD),
    )
    suspects = case.membership.merge(states, 1.0)
    assert {suspect.name for suspect in suspects} == {name(1), name(2)}
    found = [case.state(number) for number in (1, 2, 3, 9, 8)]
    assert found == [State.SUSPECT, State.SUSPECT, State.LEFT, State.ALIVE, None]


def test_push_pull_returns_a_new_suspect_once() -> None:
    case = Case(2)
    assert case.membership.merge((state(1, State.DEAD),), 1.0)
    assert case.membership.merge((state(1, State.DEAD),), 2.0) == []


# Limits


def test_the_table_does_not_grow_without_bound() -> None:
    case = Case(0)
    for number in range(LIMIT + 10):
        case.membership.alive(alive(number + 1), 0.0)
    assert len(case.members) == LIMIT
    assert case.counters.dropped[Drop.OVERSIZED] == 11


@pytest.mark.parametrize(
    "message",
    [alive(1, INCARNATION_LIMIT), replace(SUSPECT, incarnation=INCARNATION_LIMIT)],
    ids=["alive", "suspect"],
)
def test_incarnation_at_the_limit_is_rejected(
    message: Alive | Suspect,
) -> None:
    case = Case(2)
    assert case.receive(message) == []
    assert case.counters.dropped[Drop.MALFORMED] == 1


@pytest.mark.parametrize(
    ("versions", "compatible"),
    [
        (Versions(), True),
        (Versions(0, 0, 0, 0, 0, 0), True),
        (Versions(1, 5, 5), True),
        (Versions(3, 5, 3), False),
        (Versions(1, 1, 1), False),
        (Versions(6, 9, 6), False),
    ],
)
def test_member_of_an_incompatible_protocol_version_is_not_added(
    versions: Versions, compatible: bool
) -> None:
    case = Case(0)
    case.receive(replace(alive(1), versions=versions))
    assert (case.members.get(name(1)) is not None) == compatible


def tombstone(state: State = State.DEAD, *, fast_detection: bool = True) -> Case:
    """Return the state of a member that has reaped n1, and has its tombstone."""
    case = Case(2, replace(FAST, fast_detection=fast_detection))
    case.members.put(member(1, state), 1.0)
    case.members.reap(1.0, 1.0)
    case.taken()
    assert case.state(1) is None
    return case


def test_alive_message_about_a_tombstone_is_verified_with_the_member() -> None:
    case = tombstone()
    suspect = Suspect(INCARNATION, name(1), name(ME))
    assert packets(case.receive(alive(1))) == [(endpoint(1), (suspect,))]
    assert case.state(1) is None
    assert case.receive(replace(alive(1), endpoint=endpoint(9))) == [], "no other host is asked"


def test_refutation_of_a_tombstone_adds_the_member() -> None:
    case = tombstone()
    assert any(isinstance(e, MemberUp) for e in case.receive(alive(1, INCARNATION + 1)))
    assert case.state(1) is State.ALIVE


def test_tombstone_of_a_left_member_allows_rejoining_elsewhere() -> None:
    case = tombstone(State.LEFT)
    moved = replace(alive(1, 1), endpoint=endpoint(9))
    assert any(isinstance(e, MemberUp) for e in case.receive(moved))


def test_tombstones_are_not_used_without_fast_detection() -> None:
    case = tombstone(fast_detection=False)
    assert any(isinstance(e, MemberUp) for e in case.receive(alive(1)))
