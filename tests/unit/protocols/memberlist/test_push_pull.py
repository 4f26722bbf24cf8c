from __future__ import annotations

import pytest
from support.gossip.members import INCARNATION, ME, alive, endpoint, member, name_of, table

from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Dead,
    Message,
    NodeState,
    Ping,
    PushPull,
    RemoteError,
    State,
    Suspect,
)
from metallb_py.protocols.memberlist.events import Joined, JoinFailed, OpenStream, StreamId
from metallb_py.protocols.memberlist.probe import TcpPing
from metallb_py.protocols.memberlist.push_pull import (
    PushPullRequest,
    Streams,
    join_result,
    messages_of,
    states_of,
)

JOIN = PushPullRequest(endpoint(1), join=True)
PUSH_PULL = PushPullRequest(endpoint(1), join=False)


def state(number: int, of: State) -> NodeState:
    return NodeState(name_of(number), endpoint(number), INCARNATION, of)


def test_push_pull_has_the_states_of_all_members() -> None:
    members = table(2)
    members.put(member(2, State.DEAD), 1.0)
    sent = states_of((record.member for record in members), join=True)
    assert sent == PushPull(
        (state(0, State.ALIVE), state(1, State.ALIVE), state(2, State.DEAD)), join=True
    )


def test_received_states_amount_to_messages_with_dead_members_only_suspected() -> None:
    states = [state(number, of) for number, of in enumerate(State, 1)]
    assert list(messages_of(states, name_of(ME))) == [
        alive(1),
        Suspect(INCARNATION, name_of(2), name_of(ME)),
        Suspect(INCARNATION, name_of(3), name_of(ME)),
        Dead(INCARNATION, name_of(4), name_of(4)),
    ]


def test_outgoing_streams_have_even_numbers_and_end_once() -> None:
    streams = Streams()
    ping = TcpPing(endpoint(2), Ping(9, name_of(2)), 0.5)
    first, second = streams.open(PUSH_PULL, b"1", 3.0), streams.open(ping, b"2", 0.5)
    assert first == OpenStream(first.stream, endpoint(1), b"1", 3.0)
    assert second == OpenStream(second.stream, endpoint(2), b"2", 0.5)
    assert first.stream % 2 == second.stream % 2 == 0
    assert streams.ended(first.stream) == PUSH_PULL
    assert streams.ended(second.stream) == ping
    assert streams.ended(second.stream) is None
    assert streams.ended(StreamId(7)) is None


@pytest.mark.parametrize(
    ("answer", "report"),
    [
        (PushPull(()), Joined(endpoint(1))),
        ("no route", JoinFailed(endpoint(1), "no route")),
        (RemoteError("go"), JoinFailed(endpoint(1), "go")),
        (Ack(1), JoinFailed(endpoint(1), "unexpected answer")),
    ],
)
def test_result_of_a_join_is_reported_but_not_of_another_push_pull(
    answer: Message | str, report: Joined | JoinFailed
) -> None:
    assert join_result(JOIN, answer) == (report,)
    assert join_result(PUSH_PULL, answer) == ()
