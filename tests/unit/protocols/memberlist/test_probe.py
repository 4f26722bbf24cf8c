from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.gossip.members import INCARNATION, ME, endpoint, member, name_of, table

from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    IndirectPing,
    Message,
    Nack,
    Ping,
    State,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.events import RoundTrip
from metallb_py.protocols.memberlist.probe import (
    MAX_RELAYS,
    Answered,
    Awareness,
    ProbeEffect,
    ProbeFailed,
    Prober,
    TcpPing,
)
from metallb_py.protocols.memberlist.settings import FAST, LAN, Settings
from metallb_py.protocols.memberlist.transmit import SendMessages

TARGET = member(1)
PING = Ping(1, name_of(1), endpoint(ME), name_of(ME))
TCP_PING = TcpPing(endpoint(1), PING, FAST.probe_interval)
CERTAIN = ProbeFailed(TARGET, certain=True)
UNCERTAIN = ProbeFailed(TARGET, certain=False)
Effects = Sequence[ProbeEffect]


class Case:
    """A prober with ``others`` other members."""

    def __init__(self, others: int, settings: Settings = FAST) -> None:
        self.members = table(others)
        self.prober = Prober(settings, self.members)

    def run_until(self, until: float) -> list[ProbeEffect]:
        effects: list[ProbeEffect] = []
        while (due := self.prober.next_deadline()) is not None and due <= until:
            effects += self.prober.handle_timeout(due)
        return effects


def sent(effects: Effects, to: int | None = None) -> list[Message]:
    """Return the messages that are sent in datagrams: all, or those to one member."""
    packets = [effect for effect in effects if isinstance(effect, SendMessages)]
    wanted = [each for each in packets if to is None or each.to == endpoint(to)]
    return [message for each in wanted for message in each.messages]


def results(effects: Effects) -> list[ProbeEffect]:
    """Return all effects but what is sent."""
    return [effect for effect in effects if not isinstance(effect, SendMessages | TcpPing)]


def tcp_pings(effects: Effects) -> list[ProbeEffect]:
    return [effect for effect in effects if isinstance(effect, TcpPing)]


def indirect_pings(effects: Effects) -> list[IndirectPing]:
    return [message for message in sent(effects) if isinstance(message, IndirectPing)]


def test_probe_sends_a_ping_and_ends_with_its_ack() -> None:
    case = Case(3)
    effects = case.prober.probe(TARGET, 0.0, regular=True)
    assert effects == (SendMessages(endpoint(1), (PING,), TARGET),)
    assert case.prober.is_probing(name_of(1))
    assert case.prober.end_of_probe(name_of(1)) == FAST.probe_interval
    assert case.prober.acked(1, 0.01) == (RoundTrip(name_of(1), 0.01), Answered(TARGET))
    assert not case.prober.is_probing(name_of(1))
    assert case.prober.next_deadline() is None


def test_ack_nack_or_tcp_failure_without_a_probe_is_ignored() -> None:
    case = Case(3)
    assert case.prober.acked(99, 0.01) == ()
    case.prober.nacked(99, 0.01)
    case.prober.tcp_failed(99, 0.01, refused=True)
    assert case.prober.next_deadline() is None


def test_missing_ack_starts_indirect_pings_and_a_tcp_ping() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    effects = case.run_until(FAST.probe_timeout)
    assert results(effects) == []
    request = IndirectPing(1, endpoint(1), name_of(1), True, endpoint(ME), name_of(ME))
    assert sent(effects).count(request) == FAST.indirect_checks
    assert sent(effects, to=1) == [PING]  # the second direct ping
    assert tcp_pings(effects) == [TCP_PING]
    # It is unknown which ping was acked, so no round trip is reported.
    assert case.prober.acked(1, 0.3) == (Answered(TARGET),)


def test_probe_without_ack_fails_after_the_probe_interval() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    assert results(case.run_until(FAST.probe_interval - 0.001)) == []
    assert results(case.run_until(FAST.probe_interval)) == [UNCERTAIN]
    assert not case.prober.is_probing(name_of(1))


def test_direct_ping_is_repeated_only_with_fast_detection() -> None:
    for settings, pings in ((FAST, 3), (replace(FAST, fast_detection=False), 1)):
        case = Case(5, settings)
        effects = [*case.prober.probe(TARGET, 0.0, regular=True), *case.run_until(10.0)]
        assert sent(effects, to=1).count(PING) == pings


def test_one_probe_of_a_member_at_a_time() -> None:
    case = Case(3)
    case.prober.probe(TARGET, 0.0, regular=True)
    assert case.prober.probe(TARGET, 0.3, regular=False) == ()
    assert case.prober.end_of_probe(name_of(1)) == FAST.probe_interval


def test_ping_of_a_suspect_carries_the_suspect_message() -> None:
    case = Case(3)
    effects = case.prober.probe(member(1, State.SUSPECT), 0.0, regular=False)
    assert sent(effects) == [PING, Suspect(INCARNATION, name_of(1), name_of(ME))]


def test_failed_probe_with_missing_nacks_raises_the_awareness_score() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.run_until(10.0)
    assert case.prober.health.score == 3
    case.prober.probe(TARGET, 10.0, regular=True)
    assert case.prober.end_of_probe(name_of(1)) == 10.0 + 4 * FAST.probe_interval


def test_failed_probe_with_all_nacks_keeps_the_awareness_score() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.run_until(FAST.probe_timeout)
    for _ in range(5):  # a surplus nack changes nothing
        case.prober.nacked(1, 0.3)
    case.run_until(10.0)
    assert case.prober.health.score == 0


def test_ack_in_time_lowers_the_awareness_score() -> None:
    case = Case(5)
    case.prober.health.change(2)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.acked(1, 0.1)
    assert case.prober.health.score == 1


def test_extra_probe_does_not_change_the_awareness_score() -> None:
    case = Case(5)
    case.prober.health.change(2)
    case.prober.probe(TARGET, 0.0, regular=False)
    case.run_until(10.0)
    case.prober.probe(TARGET, 10.0, regular=False)
    case.prober.acked(2, 10.1)
    assert case.prober.health.score == 2


# Refusals (ICMP and TCP)


def refused(case: Case) -> None:
    """Let the host of a member refuse the ping and TCP."""
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.refused(TARGET, 0.001)
    case.prober.tcp_failed(1, 0.002, refused=True)


def test_refusal_starts_indirect_pings_and_a_tcp_ping_at_once() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    effects = case.prober.refused(TARGET, 0.001)
    assert len(indirect_pings(effects)) == FAST.indirect_checks
    assert tcp_pings(effects) == [TCP_PING]
    assert case.prober.refused(TARGET, 0.002) == ()


def test_refusal_by_udp_and_tcp_with_all_nacks_is_certain() -> None:
    case = Case(5)
    refused(case)
    for _ in range(3):
        assert case.run_until(0.003) == []
        case.prober.nacked(1, 0.003)
    assert case.run_until(0.003) == [CERTAIN]


def test_refusal_waits_for_missing_nacks_for_one_probe_timeout() -> None:
    case = Case(5)
    refused(case)
    assert results(case.run_until(0.002 + FAST.probe_timeout - 0.001)) == []
    assert results(case.run_until(0.002 + FAST.probe_timeout)) == [CERTAIN]


def test_refusals_are_certain_in_either_order() -> None:
    case = Case(1)
    case.prober.probe(TARGET, 0.0, regular=True)  # this ping is lost, its repetition refused
    case.run_until(FAST.probe_timeout)
    case.prober.tcp_failed(1, 0.201, refused=True)
    assert case.run_until(0.201) == []
    case.prober.refused(TARGET, 0.202)
    assert case.run_until(0.202) == [CERTAIN]


def test_refusal_at_another_endpoint_does_not_concern_the_probe() -> None:
    case = Case(1)
    case.prober.probe(TARGET, 0.0, regular=True)
    assert case.prober.refused(replace(TARGET, endpoint=endpoint(9)), 0.001) == ()
    case.prober.tcp_failed(1, 0.002, refused=True)
    assert results(case.run_until(10.0)) == [UNCERTAIN]


def test_refusal_by_udp_and_tcp_is_certain_without_other_members() -> None:
    case = Case(1)
    refused(case)
    assert case.run_until(0.002) == [CERTAIN]


def test_ack_of_an_indirect_ping_overrides_a_refusal() -> None:
    case = Case(5)
    refused(case)
    assert case.prober.acked(1, 0.003) == (Answered(TARGET),)
    assert case.run_until(10.0) == []


def test_refusal_without_tcp_refusal_waits_for_the_probe_interval() -> None:
    case = Case(5)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.refused(TARGET, 0.001)
    case.prober.tcp_failed(1, 0.4, refused=False)
    assert results(case.run_until(10.0)) == [UNCERTAIN]


def test_unexpected_refusal_starts_a_probe_unless_the_member_is_dead() -> None:
    case = Case(5)
    effects = case.prober.refused(TARGET, 0.0)
    assert sent(effects, to=1) == [PING]
    assert len(indirect_pings(effects)) == FAST.indirect_checks
    assert case.prober.is_probing(name_of(1))
    assert case.prober.refused(member(2, State.DEAD), 0.0) == ()
    assert not case.prober.is_probing(name_of(2))


# Indirect pings for other members

REQUEST = IndirectPing(77, endpoint(1), name_of(1), True)
NACK = SendMessages(endpoint(2), (Nack(77),))


def test_indirect_ping_is_relayed_and_its_ack_forwarded() -> None:
    case = Case(3)
    effects = case.prober.relay(REQUEST, endpoint(2), TARGET, 0.0)
    assert effects == (SendMessages(endpoint(1), (PING,), TARGET),)
    assert case.prober.acked(1, 0.1) == (SendMessages(endpoint(2), (Ack(77),)),)
    assert case.prober.next_deadline() is None


def test_relay_without_ack_sends_a_nack_if_requested() -> None:
    for nack, expected in ((True, [NACK]), (False, [])):
        case = Case(3)
        case.prober.relay(replace(REQUEST, nack=nack), endpoint(2), TARGET, 0.0)
        assert case.run_until(FAST.probe_timeout) == expected
        assert case.prober.next_deadline() is None


def test_refused_relay_sends_a_nack_at_once() -> None:
    case = Case(3)
    case.prober.relay(REQUEST, endpoint(2), TARGET, 0.0)
    case.prober.refused(TARGET, 0.001)
    assert NACK in case.run_until(0.001)


def test_indirect_ping_of_an_unknown_target_or_too_many_is_nacked() -> None:
    case = Case(3)
    assert case.prober.relay(REQUEST, endpoint(2), None, 0.0) == (NACK,)
    assert case.prober.relay(replace(REQUEST, nack=False), endpoint(2), None, 0.0) == ()
    for _ in range(MAX_RELAYS):
        case.prober.relay(REQUEST, endpoint(2), TARGET, 0.0)
    assert case.prober.relay(REQUEST, endpoint(2), TARGET, 0.0) == (NACK,)


def test_old_members_get_no_tcp_ping_and_no_nack_request() -> None:
    case = Case(3, LAN)
    for number in (1, 2, 3):
        versions = Versions(1, 2, 2)
        case.members.put(replace(member(number), versions=versions), 0.0)
    target = case.members.get(name_of(1))
    assert target is not None
    case.prober.probe(target.member, 0.0, regular=True)
    effects = case.run_until(LAN.probe_timeout)
    assert tcp_pings(effects) == []
    assert [request.nack for request in indirect_pings(effects)] == [False, False]


def test_refusal_does_not_change_the_awareness_score() -> None:
    case = Case(2)
    case.prober.probe(TARGET, 0.0, regular=True)
    case.prober.refused(TARGET, 0.01)
    assert results(case.run_until(10.0)) == [UNCERTAIN]
    assert case.prober.health.score == 0


def test_awareness_score_of_zero_leaves_timeouts_unchanged() -> None:
    assert Awareness(8).scaled(0.5) == 0.5


def test_awareness_score_scales_timeouts() -> None:
    health = Awareness(8)
    health.change(1)
    assert health.scaled(0.5) == 1.0
    health.change(2)
    assert health.scaled(0.5) == 2.0
    health.change(-1)
    assert health.score == 2


@pytest.mark.parametrize(("by", "score"), [(100, 7), (-100, 0)])
def test_awareness_score_stays_within_its_limits(by: int, score: int) -> None:
    health = Awareness(8)
    health.change(by)
    assert health.score == score


@pytest.mark.parametrize("limit", [0, 1])
def test_limit_of_zero_or_one_disables_awareness(limit: int) -> None:
    health = Awareness(limit)
    health.change(1)
    assert health.score == 0
