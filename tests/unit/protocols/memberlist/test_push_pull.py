from __future__ import annotations

import pytest
from support.gossip.members import ME, Bench, endpoint, member, name, of_kind, stream_message

from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Kind,
    Message,
    Ping,
    PushPull,
    RemoteError,
)
from metallb_py.protocols.memberlist.events import (
    CloseStream,
    Joined,
    JoinFailed,
    OpenStream,
    Reply,
    StreamId,
)
from metallb_py.protocols.memberlist.push_pull import PushPullRequest, Streams, TcpPing

THEIRS = StreamId(7)


class Case(Bench):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.streams = Streams(self.members, Envelope(), self.counters, self.effects.append)

    def opened(self) -> OpenStream:
        (stream,) = of_kind(self.taken(), OpenStream)
        return stream


def test_push_pull_request_has_the_states_of_all_members() -> None:
    case = Case(2)
    case.streams.exchange(endpoint(1), 3.0, join=True)
    stream = case.opened()
    request = stream_message(stream)
    assert (stream.to, stream.deadline) == (endpoint(1), 3.0)
    assert isinstance(request, PushPull)
    assert [state.node for state in request.states] == [name(n) for n in range(3)]
    assert request.join
    assert case.counters.sent == {Kind.PUSH_PULL: 1}


def test_outgoing_streams_have_even_numbers_and_end_once() -> None:
    case = Case(1)
    case.streams.exchange(endpoint(1), 3.0, join=False)
    case.streams.ping(member(1), Ping(9, name(1)), 0.5)
    first, second = of_kind(case.taken(), OpenStream)
    assert first.stream % 2 == second.stream % 2 == 0
    assert case.streams.ended(first.stream) == PushPullRequest(endpoint(1), join=False)
    assert case.streams.ended(second.stream) == TcpPing(9)
    assert case.streams.ended(second.stream) is None
    assert case.streams.ended(THEIRS) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("no route", "no route"), (RemoteError("go"), "go"), (Ack(1), "unexpected answer")],
)
def test_result_of_a_join_is_reported_but_not_of_another_push_pull(
    answer: Message | str, reason: str
) -> None:
    case = Case(1)
    for join in (False, True):
        case.streams.succeeded(PushPullRequest(endpoint(1), join))
        case.streams.failed(PushPullRequest(endpoint(1), join), answer)
    assert case.taken() == [Joined(endpoint(1)), JoinFailed(endpoint(1), reason)]


def test_push_pull_and_ping_are_replied_to() -> None:
    case = Case(1)
    case.streams.reply_push_pull(THEIRS, join=True)
    case.streams.reply_ack(THEIRS, Ping(5, name(ME)))
    push_pull, ack = (stream_message(reply) for reply in of_kind(case.taken(), Reply))
    assert isinstance(push_pull, PushPull)
    assert len(push_pull.states) == 2
    assert ack == Ack(5)


def test_ping_for_another_member_closes_the_stream() -> None:
    case = Case(1)
    case.streams.reply_ack(THEIRS, Ping(5, "another"))
    assert case.taken() == [CloseStream(THEIRS)]
