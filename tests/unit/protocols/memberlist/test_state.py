from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from support.gossip.members import INCARNATION, ME, alive, endpoint, member, name_of, table

from metallb_py.protocols.memberlist.codec.envelope import Drop
from metallb_py.protocols.memberlist.codec.messages import (
    Alive,
    Dead,
    Endpoint,
    State,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.events import (
    ClusterEvent,
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
from metallb_py.protocols.memberlist.settings import FAST, Settings
from metallb_py.protocols.memberlist.state import INCARNATION_LIMIT, Change, StateMessage, decide
from metallb_py.protocols.memberlist.transmit import SendMessages

SUSPECT = Suspect(INCARNATION, name_of(1), name_of(2))
DEAD = Dead(INCARNATION, name_of(1), name_of(2))
LEAVES = Dead(INCARNATION, name_of(1), name_of(1))


class Case:
    """A member table with ``others`` other members; ``receive`` applies what is decided."""

    def __init__(self, others: int, settings: Settings = FAST) -> None:
        self.members = table(others)
        self.settings = settings
        self.broadcasts: list[StateMessage] = []
        self.verifications: list[SendMessages] = []
        self.dropped: Counter[Drop] = Counter()
        self.refuted = 0

    def receive(self, *messages: StateMessage) -> list[ClusterEvent]:
        """Apply messages; return the events."""
        events: list[ClusterEvent] = []
        for message in messages:
            change = decide(self.members, self.settings, message, 1.0)
            if change is not None:
                self._apply(change, message)
                events += change.events
        return events

    def _apply(self, change: Change, message: StateMessage) -> None:
        if change.member is not None:
            self.members.put(change.member, 1.0, change.suspicion)
        if change.confirmed_by is not None:
            self.members.confirm(message.node, change.confirmed_by)
        if change.broadcast is not None:
            self.broadcasts.append(change.broadcast)
        if change.verification is not None:
            self.verifications.append(change.verification)
        if change.dropped is not None:
            self.dropped[change.dropped] += 1
        self.refuted += change.refuted

    def state(self, number: int) -> State | None:
        record = self.members.get(name_of(number))
        return None if record is None else record.member.state


# Alive messages


def test_alive_message_of_an_unknown_member_adds_it() -> None:
    case = Case(0)
    assert case.receive(alive(1)) == [MemberUp(member(1))]
    assert case.broadcasts == [alive(1)]


def test_alive_message_that_changes_nothing_is_not_rebroadcast() -> None:
    case = Case(2)
    assert case.receive(alive(1), alive(2, INCARNATION - 1)) == []
    assert case.broadcasts == []


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
    assert reported == [MemberSuspected(member(1, State.SUSPECT), name_of(2))]
    assert case.broadcasts == [SUSPECT]
    assert name_of(1) in case.members.suspected


def test_confirmation_is_rebroadcast_only_while_it_counts() -> None:
    case = Case(5)
    case.receive(SUSPECT)
    confirmation = replace(SUSPECT, reporter=name_of(3))
    assert case.receive(confirmation, SUSPECT) == []
    case.receive(replace(SUSPECT, reporter=name_of(4)))
    assert case.broadcasts == [SUSPECT, confirmation]
    assert case.members.suspected[name_of(1)].confirmations == 1


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
        assert case.receive(DEAD) == [MemberDown(member(1, State.DEAD), name_of(2))]
        assert case.broadcasts[-1] == DEAD
        assert case.members.suspected == {}


def test_dead_member_is_neither_suspected_nor_declared_dead_again() -> None:
    case = Case(2)
    case.receive(DEAD)
    assert case.receive(replace(SUSPECT, incarnation=99), replace(DEAD, incarnation=99)) == []


def test_dead_message_of_a_member_about_itself_means_left() -> None:
    case = Case(2)
    assert case.receive(LEAVES) == [MemberDown(member(1, State.LEFT), name_of(1))]


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
    assert case.broadcasts == []


# Addresses and name conflicts


def test_name_of_a_present_member_cannot_be_taken() -> None:
    case = Case(1)
    for before in ((), (SUSPECT,)):
        case.receive(*before)
        stolen = replace(alive(1, INCARNATION + 1), endpoint=endpoint(9))
        assert case.receive(stolen) == [NameConflict("n1", endpoint(1), endpoint(9))]
    assert case.dropped[Drop.CONFLICT] == 2


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
    assert case.dropped[Drop.OVERSIZED] == 1
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
    about_me = replace(message, node=name_of(ME), incarnation=named)
    assert case.receive(about_me) == [SelfSuspected(name_of(2))]
    assert case.members.me.incarnation == named + 1
    assert case.broadcasts == [alive(ME, named + 1)]
    assert case.refuted == 1


def test_alive_message_of_an_earlier_run_is_overridden() -> None:
    case = Case(2)
    assert case.receive(alive(ME, INCARNATION + 7, b"old")) == []
    assert case.broadcasts == [alive(ME, INCARNATION + 8)]


def test_own_alive_message_that_comes_back_is_ignored() -> None:
    case = Case(2)
    assert case.receive(alive(ME), alive(ME, INCARNATION - 1, b"old")) == []
    assert case.broadcasts == []


def test_member_that_left_does_not_refute() -> None:
    case = Case(2)
    case.members.put(member(ME, State.LEFT), 0.0)
    about_me = (replace(SUSPECT, node=name_of(ME)), replace(DEAD, node=name_of(ME)))
    assert case.receive(*about_me, alive(ME, INCARNATION + 7)) == []
    assert case.members.me == member(ME, State.LEFT)
    assert case.broadcasts == []


# Limits


def test_the_table_does_not_grow_without_bound() -> None:
    case = Case(0)
    for number in range(LIMIT + 10):
        case.receive(alive(number + 1))
    assert len(case.members) == LIMIT
    assert case.dropped[Drop.OVERSIZED] == 11


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
    assert case.dropped[Drop.MALFORMED] == 1


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
    assert (case.members.get(name_of(1)) is not None) == compatible


def tombstone(state: State = State.DEAD, *, fast_detection: bool = True) -> Case:
    """Return the state of a member that has reaped n1, and has its tombstone."""
    case = Case(2, replace(FAST, fast_detection=fast_detection))
    case.members.put(member(1, state), 1.0)
    case.members.reap(1.0, 1.0)
    assert case.state(1) is None
    return case


def test_alive_message_about_a_tombstone_is_verified_with_the_member() -> None:
    case = tombstone()
    suspect = Suspect(INCARNATION, name_of(1), name_of(ME))
    assert case.receive(alive(1)) == []
    assert case.verifications == [SendMessages(endpoint(1), (suspect,))]
    assert case.state(1) is None
    assert case.receive(replace(alive(1), endpoint=endpoint(9))) == []
    assert len(case.verifications) == 1, "no other host is asked"


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
