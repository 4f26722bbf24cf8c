from __future__ import annotations

from dataclasses import dataclass, field, replace

from support.gossip_members import INCARNATION, ME, Bench, endpoint, member, name, of_kind, sent

from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    IndirectPing,
    Nack,
    Ping,
    State,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.events import Member, RoundTrip
from metallb_py.protocols.memberlist.probe import RELAYS, Outcome, Prober
from metallb_py.protocols.memberlist.settings import FAST, LAN

TARGET = member(1)
PING = Ping(1, name(1), endpoint(ME), name(ME))


@dataclass
class Case(Bench):
    """A prober among so many others."""

    tcp: list[tuple[Member, Ping, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prober = Prober(self.settings, self.members, self.post, self._tcp, self.effects.append)

    def _tcp(self, to: Member, ping: Ping, deadline: float) -> None:
        self.tcp.append((to, ping, deadline))

    def runs(self, until: float) -> list[Outcome]:
        failed: list[Outcome] = []
        while (due := self.prober.next_deadline()) is not None and due <= until:
            failed += self.prober.handle_timeout(due)
        return failed


def test_a_probe_is_a_ping_and_an_answer_ends_it() -> None:
    case = Case(3)
    assert case.prober.probe(TARGET, 0.0, regular=True) == FAST.probe_interval
    assert sent(case.taken()) == [PING]
    assert case.prober.busy_with(name(1))
    case.prober.acked(1, 0.01)
    assert case.effects == [RoundTrip(name(1), 0.01)]
    assert not case.prober.busy_with(name(1))
    assert case.prober.next_deadline() is None


def test_an_answer_to_nothing_is_nothing() -> None:
    case = Case(3)
    case.prober.acked(99, 0.01)
    case.prober.denied(99, 0.01)
    case.prober.tcp_failed(99, 0.01, refused=True)
    assert case.effects == []


def test_without_an_answer_others_are_asked_and_tcp() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.taken()
    assert case.runs(FAST.probe_timeout) == []
    effects = case.taken()
    wish = IndirectPing(1, endpoint(1), name(1), True, endpoint(ME), name(ME))
    assert sent(effects).count(wish) == FAST.indirect_checks
    assert sent(effects, to=1) == [PING]  # once more
    assert case.tcp == [(TARGET, PING, FAST.probe_interval)]
    case.prober.acked(1, 0.3)
    assert of_kind(case.effects, RoundTrip) == []  # nobody knows which ping was answered


def test_a_silent_member_has_failed_at_the_end_of_the_probe() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    assert case.runs(FAST.probe_interval - 0.001) == []
    assert case.runs(FAST.probe_interval) == [Outcome(TARGET, certain=False)]
    assert not case.prober.busy_with(name(1))


def test_the_ping_is_repeated_until_the_end_unless_it_is_to_be_memberlists_way() -> None:
    for settings, pings in ((FAST, 3), (replace(FAST, eager=False), 1)):
        case = Case(5, settings)
        case.prober.probe(TARGET, 0.0, regular=True)
        case.runs(10.0)
        assert sent(case.effects, to=1).count(PING) == pings


def test_one_probe_of_a_member_at_a_time() -> None:
    case = Case(3)
    ends = case.prober.probe(TARGET, 0.0, regular=True)
    case.taken()
    assert case.prober.probe(TARGET, 0.3, regular=False) == ends
    assert case.effects == []


def test_who_is_suspected_is_told_with_the_ping() -> None:
    case = Case(3)
    case.prober.probe(member(1, State.SUSPECT), 0.0, regular=False)
    assert sent(case.taken()) == [PING, Suspect(INCARNATION, name(1), name(ME))]


def test_a_failed_probe_where_helpers_kept_silent_is_a_sign_of_our_own_health() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.runs(10.0)
    assert case.prober.health.score == 3
    ends = case.prober.probe(TARGET, 10.0, regular=True)
    assert ends == 10.0 + 4 * FAST.probe_interval


def test_a_failed_probe_where_helpers_got_no_answer_either_is_not() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.runs(FAST.probe_timeout)
    for _ in range(5):  # one too many says nothing
        case.prober.denied(1, 0.3)
    case.runs(10.0)
    assert case.prober.health.score == 0


def test_answers_in_time_heal() -> None:
    case = Case(5)
    case.prober.health.change(2)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.acked(1, 0.1)
    assert case.prober.health.score == 1


def test_extra_probes_say_nothing_of_health() -> None:
    case = Case(5)
    case.prober.health.change(2)
    case.prober.probe(TARGET, 0.0, regular=False)
    case.runs(10.0)
    case.prober.probe(TARGET, 10.0, regular=False)
    case.prober.acked(2, 10.1)
    assert case.prober.health.score == 2


# Refusals


def refused(case: Case) -> None:
    """Have a member's host refuse the ping and TCP."""
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.refused(TARGET, 0.001)
    case.prober.tcp_failed(1, 0.002, refused=True)


def test_a_refusal_is_verified_at_once() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.taken()
    case.prober.refused(TARGET, 0.001)
    assert len(of_kind_indirect(case)) == FAST.indirect_checks
    assert case.tcp == [(TARGET, PING, FAST.probe_interval)]


def of_kind_indirect(case: Case) -> list[IndirectPing]:
    return [message for message in sent(case.effects) if isinstance(message, IndirectPing)]


def test_who_is_refused_by_udp_and_tcp_and_to_all_others_is_certainly_gone() -> None:
    case = Case(5)
    refused(case)
    for _ in range(3):
        assert case.runs(0.003) == []
        case.prober.denied(1, 0.003)
    assert case.runs(0.003) == [Outcome(TARGET, certain=True)]


def test_helpers_that_say_nothing_are_waited_for_no_longer_than_a_timeout() -> None:
    case = Case(5)
    refused(case)
    assert case.runs(0.002 + FAST.probe_timeout - 0.001) == []
    assert case.runs(0.002 + FAST.probe_timeout) == [Outcome(TARGET, certain=True)]


def test_with_nobody_else_to_ask_two_refusals_are_enough() -> None:
    case = Case(1)
    refused(case)
    assert case.runs(0.002) == [Outcome(TARGET, certain=True)]


def test_a_helper_that_was_answered_knows_better() -> None:
    case = Case(5)
    refused(case)
    case.prober.acked(1, 0.003)
    assert case.runs(10.0) == []


def test_where_tcp_is_only_silent_the_probe_takes_its_time() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.refused(TARGET, 0.001)
    case.prober.tcp_failed(1, 0.4, refused=False)
    assert case.runs(10.0) == [Outcome(TARGET, certain=False)]


def test_a_refusal_out_of_the_blue_begins_a_probe_but_not_of_those_who_are_gone() -> None:
    case = Case(5)
    case.prober.refused(TARGET, 0.0)
    assert case.prober.busy_with(name(1))
    case.prober.refused(member(2, State.DEAD), 0.0)
    assert not case.prober.busy_with(name(2))


# On behalf of others

WISH = IndirectPing(77, endpoint(1), name(1), True)


def test_it_pings_on_behalf_of_another_and_passes_the_answer_on() -> None:
    case = Case(3)
    case.prober.relay(WISH, endpoint(2), 0.0)
    assert sent(case.taken(), to=1) == [PING]
    case.prober.acked(1, 0.1)
    assert sent(case.taken(), to=2) == [Ack(77)]


def test_it_tells_also_that_there_was_no_answer_if_that_is_wanted() -> None:
    for nack, told in ((True, [Nack(77)]), (False, [])):
        case = Case(3)
        case.prober.relay(replace(WISH, nack=nack), endpoint(2), 0.0)
        case.runs(FAST.probe_timeout)
        assert sent(case.effects, to=2) == told
        assert case.prober.next_deadline() is None


def test_a_refusal_is_told_at_once() -> None:
    case = Case(3)
    case.prober.relay(WISH, endpoint(2), 0.0)
    case.prober.refused(TARGET, 0.001)
    case.runs(0.001)
    assert Nack(77) in sent(case.effects, to=2)


def test_nobody_has_strangers_pinged_nor_too_many() -> None:
    case = Case(3)
    case.prober.relay(replace(WISH, target=endpoint(99)), endpoint(2), 0.0)
    assert sent(case.taken()) == [Nack(77)]
    for _ in range(RELAYS):
        case.prober.relay(WISH, endpoint(2), 0.0)
    case.taken()
    case.prober.relay(WISH, endpoint(2), 0.0)
    assert sent(case.taken()) == [Nack(77)]


def test_what_a_member_does_not_understand_is_not_asked_of_it() -> None:
    case = Case(3, LAN)
    for number in (1, 2, 3):
        versions = Versions(1, 2, 2)
        case.members.put(replace(member(number), versions=versions), 0.0)
    target = case.members.get(name(1))
    assert target is not None
    case.prober.probe(target.member, 0.0, regular=True)
    case.runs(LAN.probe_timeout)
    assert case.tcp == []
    assert [wish.nack for wish in of_kind_indirect(case)] == [False, False]


def test_a_refusal_says_nothing_of_our_own_health() -> None:
    case = Case(2)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.refused(TARGET, 0.01)
    assert [outcome.member for outcome in case.runs(10.0)] == [TARGET]
    assert case.prober.health.score == 0
