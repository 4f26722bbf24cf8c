from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from support.gossip.members import (
    INCARNATION,
    ME,
    alive,
    endpoint,
    machine,
    member,
    name_of,
    of_kind,
    packed,
    packets,
    receive,
    run_until,
    sent,
    stream_message,
)

from metallb_py.protocols.memberlist.codec.envelope import Drop
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Alive,
    Dead,
    Endpoint,
    Kind,
    NodeState,
    Ping,
    PushPull,
    RemoteError,
    State,
    Suspect,
    User,
)
from metallb_py.protocols.memberlist.events import (
    CloseStream,
    Effect,
    Joined,
    JoinFailed,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    OpenStream,
    Reply,
    RoundTrip,
    SelfSuspected,
    SendPacket,
    StreamId,
)
from metallb_py.protocols.memberlist.memberlist import Memberlist
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.suspicion import min_suspicion_timeout

THEIRS = StreamId(3)
ALL_FOUR = PushPull(
    tuple(NodeState(name_of(n), endpoint(n), INCARNATION, State.ALIVE) for n in range(1, 4))
)


def streams(effects: list[Effect] | tuple[Effect, ...]) -> list[OpenStream]:
    return of_kind(effects, OpenStream)


def pinged(made: Memberlist, until: float = 2.0) -> tuple[float, Ping, Endpoint]:
    """Return the first ping, the time at which it is sent, and its destination."""
    while made.next_deadline() <= until:
        now = made.next_deadline()
        for to, messages in packets(made.handle_timeout(now)):
            for message in messages:
                if isinstance(message, Ping):
                    return now, message, to
    raise AssertionError("no ping")


# Joining


def test_join_is_a_push_pull_with_the_join_flag() -> None:
    made = machine(0)
    (stream,) = streams(made.join([endpoint(1)], 0.0))
    assert (stream.to, stream.deadline) == (endpoint(1), FAST.tcp_timeout)
    request = stream_message(stream)
    assert isinstance(request, PushPull)
    assert request.join
    assert [state.node for state in request.states] == [name_of(ME)]
    effects = made.stream_received(stream.stream, ALL_FOUR, 0.01)
    assert of_kind(effects, MemberUp) == [MemberUp(member(n)) for n in range(1, 4)]
    assert effects[-1] == Joined(endpoint(1))


def test_failed_join_is_reported_once_with_its_error() -> None:
    made = machine(0)
    first, second = streams(made.join([endpoint(1), endpoint(2)], 0.0))
    failed = made.stream_failed(first.stream, "no route", 0.1)
    assert failed == (JoinFailed(endpoint(1), "no route"),)
    rejected = made.stream_received(second.stream, RemoteError("go away"), 0.1)
    assert rejected == (JoinFailed(endpoint(2), "go away"),)
    assert made.stream_failed(first.stream, "again", 0.2) == ()


def test_push_pull_of_a_joining_member_is_answered_and_merged() -> None:
    made = machine(2)
    newcomer = NodeState(name_of(9), endpoint(9), INCARNATION, State.ALIVE)
    effects = made.stream_received(THEIRS, PushPull((newcomer,), join=True), 0.0)
    (reply,) = of_kind(effects, Reply)
    answer = stream_message(reply)
    assert reply.stream == THEIRS
    assert isinstance(answer, PushPull)
    assert {state.node for state in answer.states} == {name_of(n) for n in (0, 1, 2, 9)}
    assert MemberUp(member(9)) in effects


def test_push_pull_suspects_members_once_and_probes_them() -> None:
    made = machine(4)
    dead = NodeState(name_of(1), endpoint(1), INCARNATION, State.DEAD)
    suspect = NodeState(name_of(2), endpoint(2), INCARNATION, State.SUSPECT)
    left = NodeState(name_of(3), endpoint(3), INCARNATION, State.LEFT)
    unknown = NodeState(name_of(8), endpoint(8), INCARNATION, State.DEAD)
    effects = made.stream_received(THEIRS, PushPull((dead, suspect, left, unknown)), 1.0)
    suspected = of_kind(effects, MemberSuspected)
    assert suspected == [MemberSuspected(member(n, State.SUSPECT), name_of(ME)) for n in (1, 2)], (
        "the other's state may be outdated"
    )
    assert of_kind(effects, MemberDown) == [MemberDown(member(3, State.LEFT), name_of(3))]
    assert [m.name for m in made.members] == [name_of(n) for n in range(5)]
    for number in (1, 2):
        assert any(isinstance(message, Ping) for message in sent(effects, to=number))
    assert not of_kind(made.stream_received(THEIRS, PushPull((dead,)), 2.0), MemberSuspected)


def test_alive_message_about_a_tombstone_is_verified_with_the_member() -> None:
    made = machine(2)
    receive(made, 1, Dead(INCARNATION, name_of(1), name_of(2)), now=1.0)
    run_until(made, 60.0, answered=True)
    effects = receive(made, 2, alive(1), now=60.0)
    assert packets(effects) == [(endpoint(1), (Suspect(INCARNATION, name_of(1), name_of(ME)),))]
    assert not of_kind(effects, MemberUp)


def test_new_member_is_gossiped_within_a_gossip_interval() -> None:
    made = machine(3)
    run_until(made, 5.0)
    receive(made, 1, alive(9), now=5.0)
    assert made.next_deadline() <= 5.0 + FAST.gossip_interval
    assert alive(9) in sent(run_until(made, 5.0 + FAST.gossip_interval))


# Pings


def test_ping_is_acked_to_the_address_that_it_came_from() -> None:
    made = machine(1)
    assert sent(receive(made, 1, Ping(5, name_of(ME)), now=1.0), to=1)[0] == Ack(5)
    assert sent(receive(made, 9, Ping(6, ""), now=1.0), to=9)[0] == Ack(6)


def test_ping_is_acked_to_the_source_that_it_names_if_a_member() -> None:
    made = machine(2)
    named = Ping(5, name_of(ME), endpoint(2), name_of(2))
    assert sent(receive(made, 1, named, now=1.0), to=2)[0] == Ack(5)
    unknown = Endpoint(IPv4Address("192.0.2.1"), 7946)
    effects = receive(made, 1, Ping(6, name_of(ME), unknown, "x"), now=1.0)
    assert [to for to, _ in packets(effects)] == [endpoint(1)]


def test_ping_for_another_member_is_not_acked() -> None:
    assert receive(machine(1), 1, Ping(5, "another"), now=1.0) == ()


def test_ping_over_a_stream_is_acked_on_the_stream() -> None:
    made = machine(1)
    (reply,) = made.stream_received(THEIRS, Ping(5, name_of(ME)), 1.0)
    assert isinstance(reply, Reply)
    assert stream_message(reply) == Ack(5)
    assert made.stream_received(THEIRS, User(b"?"), 1.0) == (CloseStream(THEIRS),)
    assert made.stream_received(THEIRS, Ping(6, "another"), 1.0) == (CloseStream(THEIRS),)


def test_members_are_probed_in_turn() -> None:
    made = machine(3)
    now, ping, to = pinged(made)
    effects = made.receive(packed(Ack(ping.sequence)), to, now + 0.01)
    assert [round(each.seconds, 3) for each in of_kind(effects, RoundTrip)] == [0.01]
    then, _, another = pinged(made)
    assert 0 < then - now <= FAST.probe_interval
    assert another != to


# Suspicion


def test_member_that_does_not_ack_is_suspected_and_then_declared_dead() -> None:
    made = machine(1)
    effects = run_until(made, 5.0)
    suspected, down = of_kind(effects, MemberSuspected), of_kind(effects, MemberDown)
    assert [each.reporter for each in suspected] == [name_of(ME)]
    assert down == [MemberDown(member(1, State.DEAD), name_of(ME))]
    assert made.present == 1


def test_suspect_that_acks_is_not_declared_dead() -> None:
    made = machine(1)
    receive(made, 1, Suspect(INCARNATION, name_of(1), name_of(1)), now=0.0)
    effects = run_until(made, 30.0, answered=True)
    assert of_kind(effects, MemberDown) == []
    refuted = receive(made, 1, alive(1, INCARNATION + 1), now=31.0)
    assert of_kind(refuted, MemberTrusted)


def test_suspect_reported_by_others_is_probed_before_it_is_dead() -> None:
    made = machine(50)
    suspect = member(7)
    receive(made, 1, Suspect(INCARNATION, suspect.name, name_of(1)), now=1.0)
    receive(made, 2, Suspect(INCARNATION, suspect.name, name_of(2)), now=1.0)
    until = 1.0 + min_suspicion_timeout(FAST, 51)
    before = sent(run_until(made, until - 0.01), to=7)
    after = sent(run_until(made, until + 2 * FAST.probe_interval), to=7)
    assert any(isinstance(message, Ping) for message in before + after)


def test_refused_member_is_declared_dead_without_suspicion() -> None:
    made = machine(1)
    now, _, to = pinged(made)
    (stream,) = streams(made.refused(to, now))
    made.stream_failed(stream.stream, "refused", now, refused=True)
    effects = run_until(made, now)
    assert of_kind(effects, MemberSuspected) == []
    assert of_kind(effects, MemberDown) == [MemberDown(member(1, State.DEAD), name_of(ME))]


def taken_over_while_probed(*, refused: bool) -> list[Effect]:
    """Probe a host that claims n1, until the expected host has the name; return what follows."""
    made = machine(0)
    made.expect({name_of(1): frozenset({endpoint(1).address})})
    receive(made, 9, replace(alive(1, INCARNATION + 1000), endpoint=endpoint(9)), now=0.0)
    now, _, to = pinged(made)
    assert to == endpoint(9)
    stream = streams(made.refused(to, now)) if refused else []
    receive(made, 1, alive(1), now=now)
    effects: list[Effect] = []
    for opened in stream:
        effects += made.stream_failed(opened.stream, "refused", now, refused=True)
    return [*effects, *run_until(made, now + FAST.probe_interval + 0.01)]


@pytest.mark.parametrize("refused", [False, True])
def test_failed_probe_of_another_host_does_not_concern_the_member(refused: bool) -> None:
    effects = taken_over_while_probed(refused=refused)
    assert of_kind(effects, MemberSuspected) == of_kind(effects, MemberDown) == []


def test_ack_over_tcp_ends_the_probe() -> None:
    made = machine(1)
    now, ping, to = pinged(made)
    (stream,) = streams(made.refused(to, now))
    made.stream_received(stream.stream, Ack(ping.sequence), now + 0.001)
    assert of_kind(run_until(made, now + FAST.probe_interval), MemberSuspected) == []


def test_dead_message_of_another_member_is_reported() -> None:
    made = machine(2)
    effects = receive(made, 2, Dead(INCARNATION, name_of(1), name_of(2)), now=1.0)
    assert effects == (MemberDown(member(1, State.DEAD), name_of(2)),)


# Refutation


def test_suspected_member_refutes_to_the_sender_at_once_and_by_gossip() -> None:
    made = machine(3)
    effects = receive(made, 2, Suspect(INCARNATION, name_of(ME), name_of(1)), now=1.0)
    assert of_kind(effects, SelfSuspected) == [SelfSuspected(name_of(1))]
    assert made.health == 1
    refutation = alive(ME, INCARNATION + 1)
    assert sent(effects, to=2)[0] == refutation
    assert refutation in sent(run_until(made, 1.0 + FAST.gossip_interval))


def test_repeated_suspect_or_dead_message_is_refuted_again() -> None:
    made = machine(3)
    suspect = Suspect(INCARNATION, name_of(ME), name_of(1))
    receive(made, 2, suspect, now=1.0)
    for repeated in (suspect, Dead(INCARNATION, name_of(ME), name_of(1))):
        effects = receive(made, 2, repeated, repeated, now=2.0)
        assert of_kind(effects, SelfSuspected) == []
        assert len(of_kind(effects, SendPacket)) == 1
        assert sent(effects, to=2)[0] == alive(ME, INCARNATION + 1)


def test_push_pull_that_has_this_member_dead_is_refuted_at_once() -> None:
    me = NodeState(name_of(ME), endpoint(ME), INCARNATION, State.DEAD)
    made = machine(1)
    (reply,) = of_kind(made.stream_received(THEIRS, PushPull((me,)), 1.0), Reply)
    answer = stream_message(reply)
    assert isinstance(answer, PushPull)
    assert [s.incarnation for s in answer.states if s.node == name_of(ME)] == [INCARNATION + 1]

    made = machine(1)
    (stream,) = streams(made.join([endpoint(1)], 1.0))
    effects = made.stream_received(stream.stream, PushPull((me,)), 1.0)
    assert sent(effects, to=1) == [alive(ME, INCARNATION + 1)]


def test_suspect_message_of_an_unknown_source_is_not_answered() -> None:
    made = machine(3)
    effects = receive(made, 9, Suspect(INCARNATION, name_of(ME), name_of(1)), now=1.0)
    assert of_kind(effects, SendPacket) == []


# Actions of this member


def test_new_metadata_is_gossiped_with_a_higher_incarnation() -> None:
    made = machine(2)
    made.update(b"x", 1.0)
    made.update(b"x", 1.0)
    assert (made.me.meta, made.me.incarnation) == (b"x", INCARNATION + 1)
    assert alive(ME, INCARNATION + 1, b"x") in sent(run_until(made, 2.0))


def test_changed_metadata_of_another_member_is_reported() -> None:
    made = machine(2)
    (changed,) = receive(made, 1, alive(1, INCARNATION + 1, b"x"), now=1.0)
    assert isinstance(changed, MemberChanged)


def test_leave_is_sent_to_every_member_and_ends_all_activity() -> None:
    made = machine(4)
    effects = made.leave(1.0)
    departure = Dead(INCARNATION, name_of(ME), name_of(ME))
    informed = {to for to, messages in packets(effects) if departure in messages}
    assert informed == {endpoint(n) for n in range(1, 5)}
    assert made.leave(1.0) == ()
    assert made.update(b"x", 1.0) == ()
    later = run_until(made, 20.0)
    assert not any(isinstance(message, Ping | Alive) for message in sent(later))
    assert not of_kind(later, OpenStream)
    receive(made, 1, departure, Suspect(INCARNATION, name_of(ME), name_of(1)), now=21.0)
    assert made.me == member(ME, State.LEFT)


def test_leave_drops_pending_suspicions() -> None:
    made = machine(3)
    receive(made, 1, Suspect(INCARNATION, name_of(2), name_of(1)), now=1.0)
    made.leave(1.0)
    assert of_kind(run_until(made, 60.0), MemberDown) == []


def test_awareness_score_recovers_without_other_members() -> None:
    made = machine(1)
    receive(made, 1, Suspect(INCARNATION, name_of(ME), name_of(1)), now=1.0)
    receive(made, 1, Dead(INCARNATION, name_of(1), name_of(1)), now=1.0)
    assert made.health == 1
    run_until(made, 3.0)
    assert made.health == 0


def test_push_pull_is_started_at_each_push_pull_interval() -> None:
    made = machine(3)
    opened = streams(run_until(made, FAST.push_pull_interval, answered=True))
    exchanges = [stream for stream in opened if isinstance(stream_message(stream), PushPull)]
    assert len(exchanges) == 1
    more = NodeState(name_of(9), endpoint(9), INCARNATION, State.ALIVE)
    effects = made.stream_received(exchanges[0].stream, PushPull((more,)), 16.0)
    assert effects == (MemberUp(member(9)),)


def test_dead_member_still_gets_gossip_and_is_then_reaped() -> None:
    made = machine(1)
    receive(made, 1, Dead(INCARNATION, name_of(1), "x"), now=1.0)
    assert Dead(INCARNATION, name_of(1), "x") in sent(run_until(made, 2.0), to=1)
    run_until(made, 2.0 + FAST.gossip_to_the_dead_time)
    assert [known.name for known in made.members] == [name_of(ME)]


# Malformed input, and time


def test_malformed_datagram_is_counted_and_ignored() -> None:
    made = machine(1)
    assert made.receive(b"", endpoint(1), 1.0) == ()
    assert made.receive(b"\xff\x00", endpoint(1), 1.0) == ()
    assert sum(made.counters.dropped.values()) == 2
    assert Drop.UNKNOWN in made.counters.dropped


def test_deadlines_never_go_back() -> None:
    made = machine(5)
    last = 0.0
    for _ in range(2000):
        now = made.next_deadline()
        assert now >= last
        made.handle_timeout(now)
        last = now
    assert last > 60.0


# Limits on unknown sources

BOMB = packed(*[User(bytes(700))] * 80)


def flood(made: Memberlist, source: Endpoint, count: int, now: float = 0.0) -> int:
    """Deliver a datagram that expands when unpacked ``count`` times; return how many were read."""
    before = made.counters.received[Kind.USER]
    for _ in range(count):
        made.receive(BOMB, source, now)
    return (made.counters.received[Kind.USER] - before) // 80


def test_unknown_source_is_limited_in_the_work_of_its_datagrams() -> None:
    made = machine(1)
    unknown = Endpoint(IPv4Address("192.0.2.1"), 9)
    read = flood(made, unknown, 1000)
    assert 1 < read < 100
    assert made.counters.dropped[Drop.LIMITED] == 1000 - read
    assert flood(made, Endpoint(IPv4Address("192.0.2.1"), 10), 10) == 0
    assert flood(made, unknown, 10, now=1.0) <= 5
    assert receive(made, 1, Ping(1, name_of(ME)), now=1.0)


def test_many_unknown_sources_share_one_limit() -> None:
    made = machine(1)
    read = sum(flood(made, Endpoint(IPv4Address("192.0.2.1") + n, 9), 100) for n in range(200))
    assert read < 200
    assert flood(made, endpoint(1), 10) == 10


def test_only_expected_hosts_are_known_once_any_are_expected() -> None:
    made = machine(2)
    assert [made.is_known_host(endpoint(n).address) for n in range(4)] == [True, True, True, False]
    made.expect({name_of(3): frozenset({endpoint(3).address})})
    assert [made.is_known_host(endpoint(n).address) for n in range(4)] == [
        False,
        False,
        False,
        True,
    ]


def test_host_of_a_reaped_member_is_no_longer_known() -> None:
    made = machine(2)
    receive(made, 1, Dead(INCARNATION, name_of(1), name_of(1)), now=0.0)
    run_until(made, 100.0, answered=True)
    assert [made.is_known_host(endpoint(n).address) for n in range(3)] == [True, False, True]
