from __future__ import annotations

from ipaddress import IPv4Address

from support.gossip_members import (
    INCARNATION,
    ME,
    alive,
    endpoint,
    hears,
    machine,
    member,
    name,
    of_kind,
    packed,
    packets,
    runs,
    said,
    sent,
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
    Accused,
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
    SendPacket,
    StreamId,
)
from metallb_py.protocols.memberlist.memberlist import Memberlist
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.suspicion import least_time

THEIRS = StreamId(3)
ALL_FOUR = PushPull(
    tuple(NodeState(name(n), endpoint(n), INCARNATION, State.ALIVE) for n in range(1, 4))
)


def streams(effects: list[Effect] | tuple[Effect, ...]) -> list[OpenStream]:
    return of_kind(effects, OpenStream)


def pinged(made: Memberlist, until: float = 2.0) -> tuple[float, Ping, Endpoint]:
    """Return the first ping, when it leaves, and for whom."""
    while made.next_deadline() <= until:
        now = made.next_deadline()
        for to, messages in packets(made.handle_timeout(now)):
            for message in messages:
                if isinstance(message, Ping):
                    return now, message, to
    raise AssertionError("no ping")


# Joining


def test_to_join_is_to_exchange_everything() -> None:
    made = machine(0)
    (stream,) = streams(made.join([endpoint(1)], 0.0))
    assert (stream.to, stream.deadline) == (endpoint(1), FAST.tcp_timeout)
    everything = said(stream)
    assert isinstance(everything, PushPull)
    assert everything.join
    assert [state.node for state in everything.states] == [name(ME)]
    effects = made.stream_received(stream.stream, ALL_FOUR, 0.01)
    assert of_kind(effects, MemberUp) == [MemberUp(member(n)) for n in range(1, 4)]
    assert effects[-1] == Joined(endpoint(1))


def test_a_join_may_fail() -> None:
    made = machine(0)
    first, second = streams(made.join([endpoint(1), endpoint(2)], 0.0))
    failed = made.stream_failed(first.stream, "no route", 0.1)
    assert failed == (JoinFailed(endpoint(1), "no route"),)
    told = made.stream_received(second.stream, RemoteError("go away"), 0.1)
    assert told == (JoinFailed(endpoint(2), "go away"),)
    assert made.stream_failed(first.stream, "again", 0.2) == ()


def test_who_is_joined_answers_with_everything_and_knows_the_other() -> None:
    made = machine(2)
    newcomer = NodeState(name(9), endpoint(9), INCARNATION, State.ALIVE)
    effects = made.stream_received(THEIRS, PushPull((newcomer,), join=True), 0.0)
    (reply,) = of_kind(effects, Reply)
    everything = said(reply)
    assert reply.stream == THEIRS
    assert isinstance(everything, PushPull)
    assert {state.node for state in everything.states} == {name(n) for n in (0, 1, 2, 9)}
    assert MemberUp(member(9)) in effects


def test_who_was_joined_is_told_of_at_once() -> None:
    made = machine(3)
    runs(made, 5.0)
    hears(made, 1, alive(9), now=5.0)
    assert made.next_deadline() <= 5.0 + FAST.gossip_interval
    assert alive(9) in sent(runs(made, 5.0 + FAST.gossip_interval))


# Pings


def test_a_ping_is_answered_where_it_came_from() -> None:
    made = machine(1)
    assert sent(hears(made, 1, Ping(5, name(ME)), now=1.0), to=1)[0] == Ack(5)
    assert sent(hears(made, 9, Ping(6, ""), now=1.0), to=9)[0] == Ack(6)


def test_or_to_the_member_that_it_names_but_to_no_stranger() -> None:
    made = machine(2)
    named = Ping(5, name(ME), endpoint(2), name(2))
    assert sent(hears(made, 1, named, now=1.0), to=2)[0] == Ack(5)
    stranger = Endpoint(IPv4Address("192.0.2.1"), 7946)
    told = hears(made, 1, Ping(6, name(ME), stranger, "x"), now=1.0)
    assert [to for to, _ in packets(told)] == [endpoint(1)]


def test_a_ping_for_another_is_not_answered() -> None:
    assert hears(machine(1), 1, Ping(5, "another"), now=1.0) == ()


def test_a_ping_over_a_stream_is_answered_there() -> None:
    made = machine(1)
    (reply,) = made.stream_received(THEIRS, Ping(5, name(ME)), 1.0)
    assert isinstance(reply, Reply)
    assert said(reply) == Ack(5)
    assert made.stream_received(THEIRS, User(b"?"), 1.0) == (CloseStream(THEIRS),)


def test_members_are_probed_in_turn() -> None:
    made = machine(3)
    now, ping, to = pinged(made)
    told = made.receive(packed(Ack(ping.sequence)), to, now + 0.01)
    assert [round(each.seconds, 3) for each in of_kind(told, RoundTrip)] == [0.01]
    then, _, another = pinged(made)
    assert 0 < then - now <= FAST.probe_interval
    assert another != to


# Suspicion


def test_silence_is_suspicious_and_ends_in_death() -> None:
    made = machine(1)
    effects = runs(made, 5.0)
    suspected, down = of_kind(effects, MemberSuspected), of_kind(effects, MemberDown)
    assert [each.reporter for each in suspected] == [name(ME)]
    assert down == [MemberDown(member(1, State.DEAD), name(ME))]
    assert made.present == 1


def test_who_answers_while_it_is_suspected_is_not_given_up() -> None:
    made = machine(1)
    hears(made, 1, Suspect(INCARNATION, name(1), name(1)), now=0.0)
    effects = runs(made, 30.0, answered=True)
    assert of_kind(effects, MemberDown) == []
    contradicted = hears(made, 1, alive(1, INCARNATION + 1), now=31.0)
    assert of_kind(contradicted, MemberTrusted)


def test_nobody_is_given_up_on_hearsay_without_a_look() -> None:
    made = machine(50)
    accused = member(7)
    hears(made, 1, Suspect(INCARNATION, accused.name, name(1)), now=1.0)
    hears(made, 2, Suspect(INCARNATION, accused.name, name(2)), now=1.0)
    until = 1.0 + least_time(FAST, 51)
    before = sent(runs(made, until - 0.01), to=7)
    after = sent(runs(made, until + 2 * FAST.probe_interval), to=7)
    assert any(isinstance(message, Ping) for message in before + after)


def test_a_refused_member_is_given_up_without_suspicion() -> None:
    made = machine(1)
    now, _, to = pinged(made)
    (stream,) = streams(made.refused(to, now))
    made.stream_failed(stream.stream, "refused", now, refused=True)
    effects = runs(made, now)
    assert of_kind(effects, MemberSuspected) == []
    assert of_kind(effects, MemberDown) == [MemberDown(member(1, State.DEAD), name(ME))]


def test_a_ping_that_comes_back_over_tcp_is_as_good() -> None:
    made = machine(1)
    now, ping, to = pinged(made)
    (stream,) = streams(made.refused(to, now))
    made.stream_received(stream.stream, Ack(ping.sequence), now + 0.001)
    assert of_kind(runs(made, now + FAST.probe_interval), MemberSuspected) == []


def test_death_that_another_found_is_told() -> None:
    made = machine(2)
    told = hears(made, 2, Dead(INCARNATION, name(1), name(2)), now=1.0)
    assert told == (MemberDown(member(1, State.DEAD), name(2)),)


# Contradiction


def test_who_is_accused_contradicts_to_everybody_and_at_once_to_who_told_it() -> None:
    made = machine(3)
    effects = hears(made, 2, Suspect(INCARNATION, name(ME), name(1)), now=1.0)
    assert of_kind(effects, Accused) == [Accused(name(1))]
    assert made.health == 1
    contradiction = alive(ME, INCARNATION + 1)
    assert sent(effects, to=2)[0] == contradiction
    assert contradiction in sent(runs(made, 1.0 + FAST.gossip_interval))


def test_an_accusation_that_was_answered_before_is_answered_again() -> None:
    made = machine(3)
    accusation = Suspect(INCARNATION, name(ME), name(1))
    hears(made, 2, accusation, now=1.0)
    for said_again in (accusation, Dead(INCARNATION, name(ME), name(1))):
        effects = hears(made, 2, said_again, said_again, now=2.0)
        assert of_kind(effects, Accused) == []
        assert len(of_kind(effects, SendPacket)) == 1
        assert sent(effects, to=2)[0] == alive(ME, INCARNATION + 1)


def test_who_thinks_us_dead_and_says_so_over_a_stream_is_contradicted_at_once() -> None:
    me = NodeState(name(ME), endpoint(ME), INCARNATION, State.DEAD)
    made = machine(1)
    (reply,) = of_kind(made.stream_received(THEIRS, PushPull((me,)), 1.0), Reply)
    everything = said(reply)
    assert isinstance(everything, PushPull)
    assert [s.incarnation for s in everything.states if s.node == name(ME)] == [INCARNATION + 1]

    made = machine(1)
    (stream,) = streams(made.join([endpoint(1)], 1.0))
    effects = made.stream_received(stream.stream, PushPull((me,)), 1.0)
    assert sent(effects, to=1) == [alive(ME, INCARNATION + 1)]


def test_strangers_who_accuse_are_not_answered() -> None:
    made = machine(3)
    effects = hears(made, 9, Suspect(INCARNATION, name(ME), name(1)), now=1.0)
    assert of_kind(effects, SendPacket) == []


# What this member does itself


def test_new_metadata_is_told() -> None:
    made = machine(2)
    made.update(b"x", 1.0)
    made.update(b"x", 1.0)
    assert (made.me.meta, made.me.incarnation) == (b"x", INCARNATION + 1)
    assert alive(ME, INCARNATION + 1, b"x") in sent(runs(made, 2.0))


def test_the_metadata_of_others_is_told() -> None:
    made = machine(2)
    (changed,) = hears(made, 1, alive(1, INCARNATION + 1, b"x"), now=1.0)
    assert isinstance(changed, MemberChanged)


def test_who_leaves_tells_everybody_and_does_no_more() -> None:
    made = machine(4)
    effects = made.leave(1.0)
    farewell = Dead(INCARNATION, name(ME), name(ME))
    told = {to for to, messages in packets(effects) if farewell in messages}
    assert told == {endpoint(n) for n in range(1, 5)}
    assert made.leave(1.0) == ()
    later = runs(made, 20.0)
    assert not any(isinstance(message, Ping | Alive) for message in sent(later))
    assert not of_kind(later, OpenStream)
    hears(made, 1, farewell, Suspect(INCARNATION, name(ME), name(1)), now=21.0)
    assert made.me == member(ME, State.LEFT)


def test_who_leaves_while_it_suspects_somebody_has_nothing_due_for_that() -> None:
    made = machine(3)
    hears(made, 1, Suspect(INCARNATION, name(2), name(1)), now=1.0)
    made.leave(1.0)
    assert of_kind(runs(made, 60.0), MemberDown) == []


def test_who_is_alone_is_well_again() -> None:
    made = machine(1)
    hears(made, 1, Suspect(INCARNATION, name(ME), name(1)), now=1.0)
    hears(made, 1, Dead(INCARNATION, name(1), name(1)), now=1.0)
    assert made.health == 1
    runs(made, 3.0)
    assert made.health == 0


def test_now_and_then_everything_is_exchanged() -> None:
    made = machine(3)
    opened = streams(runs(made, FAST.push_pull_interval, answered=True))
    exchanges = [stream for stream in opened if isinstance(said(stream), PushPull)]
    assert len(exchanges) == 1
    more = NodeState(name(9), endpoint(9), INCARNATION, State.ALIVE)
    effects = made.stream_received(exchanges[0].stream, PushPull((more,)), 16.0)
    assert effects == (MemberUp(member(9)),)


def test_the_dead_are_told_what_is_news_for_a_while_and_then_forgotten() -> None:
    made = machine(1)
    hears(made, 1, Dead(INCARNATION, name(1), "x"), now=1.0)
    assert Dead(INCARNATION, name(1), "x") in sent(runs(made, 2.0), to=1)
    runs(made, 2.0 + FAST.gossip_to_the_dead_time)
    assert [known.name for known in made.members] == [name(ME)]


# What is wrong


def test_what_can_not_be_read_is_counted_and_does_nothing() -> None:
    made = machine(1)
    assert made.receive(b"", endpoint(1), 1.0) == ()
    assert made.receive(b"\xff\x00", endpoint(1), 1.0) == ()
    assert sum(made.tally.dropped.values()) == 2
    assert Drop.UNKNOWN in made.tally.dropped


def test_time_goes_on() -> None:
    made = machine(5)
    last = 0.0
    for _ in range(2000):
        now = made.next_deadline()
        assert now >= last
        made.handle_timeout(now)
        last = now
    assert last > 60.0


# What strangers cost

BOMB = packed(*[User(bytes(700))] * 80)


def floods(made: Memberlist, source: Endpoint, count: int, now: float = 0.0) -> int:
    """Send a datagram that expands to much, often; return how many of them were read."""
    before = made.tally.received[Kind.USER]
    for _ in range(count):
        made.receive(BOMB, source, now)
    return (made.tally.received[Kind.USER] - before) // 80


def test_strangers_have_a_datagram_read_only_as_far_as_their_work_allows() -> None:
    made = machine(1)
    stranger = Endpoint(IPv4Address("192.0.2.1"), 9)
    read = floods(made, stranger, 1000)
    assert 1 < read < 100
    assert made.tally.dropped[Drop.LIMITED] == 1000 - read
    assert floods(made, Endpoint(IPv4Address("192.0.2.1"), 10), 10) == 0
    assert floods(made, stranger, 10, now=1.0) <= 5
    assert hears(made, 1, Ping(1, name(ME)), now=1.0)


def test_many_strangers_have_no_more_than_a_few() -> None:
    made = machine(1)
    read = sum(floods(made, Endpoint(IPv4Address("192.0.2.1") + n, 9), 100) for n in range(200))
    assert read < 200
    assert floods(made, endpoint(1), 10) == 10


def test_only_expected_members_are_known_where_any_are_named() -> None:
    made = machine(2)
    assert [made.knows(endpoint(n).address) for n in range(4)] == [True, True, True, False]
    made.expect({name(3): frozenset({endpoint(3).address})})
    assert [made.knows(endpoint(n).address) for n in range(4)] == [False, False, False, True]


def test_a_stranger_that_left_is_no_longer_known() -> None:
    made = machine(2)
    hears(made, 1, Dead(INCARNATION, name(1), name(1)), now=0.0)
    runs(made, 100.0, answered=True)
    assert [made.knows(endpoint(n).address) for n in range(3)] == [True, False, True]
