from __future__ import annotations

import pytest
from support.gossip_members import ME, Bench, endpoint, member, name, of_kind, said

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
from metallb_py.protocols.memberlist.push_pull import Exchange, Streams, TcpPing

THEIRS = StreamId(7)


class Case(Bench):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.streams = Streams(self.members, Envelope(), self.tally, self.effects.append)

    def opened(self) -> OpenStream:
        (stream,) = of_kind(self.taken(), OpenStream)
        return stream


def test_an_exchange_tells_all_that_is_known() -> None:
    case = Case(2)
    case.streams.exchange(endpoint(1), 3.0, join=True)
    stream = case.opened()
    everything = said(stream)
    assert (stream.to, stream.deadline) == (endpoint(1), 3.0)
    assert isinstance(everything, PushPull)
    assert [state.node for state in everything.states] == [name(n) for n in range(3)]
    assert everything.join
    assert case.tally.sent == {Kind.PUSH_PULL: 1}


def test_streams_of_ours_have_even_numbers_and_end_once() -> None:
    case = Case(1)
    case.streams.exchange(endpoint(1), 3.0, join=False)
    case.streams.ping(member(1), Ping(9, name(1)), 0.5)
    first, second = of_kind(case.taken(), OpenStream)
    assert first.stream % 2 == second.stream % 2 == 0
    assert case.streams.ended(first.stream) == Exchange(endpoint(1), join=False)
    assert case.streams.ended(second.stream) == TcpPing(9)
    assert case.streams.ended(second.stream) is None
    assert case.streams.ended(THEIRS) is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [("no route", "no route"), (RemoteError("go"), "go"), (Ack(1), "unexpected answer")],
)
def test_how_a_join_ends_is_told_but_not_how_another_exchange_does(
    answer: Message | str, told: str
) -> None:
    case = Case(1)
    for join in (False, True):
        case.streams.succeeded(Exchange(endpoint(1), join))
        case.streams.failed(Exchange(endpoint(1), join), answer)
    assert case.taken() == [Joined(endpoint(1)), JoinFailed(endpoint(1), told)]


def test_answers() -> None:
    case = Case(1)
    case.streams.reply_everything(THEIRS, join=True)
    case.streams.reply_ack(THEIRS, Ping(5, name(ME)))
    everything, ack = (said(reply) for reply in of_kind(case.taken(), Reply))
    assert isinstance(everything, PushPull)
    assert len(everything.states) == 2
    assert ack == Ack(5)


def test_a_ping_for_another_is_not_answered() -> None:
    case = Case(1)
    case.streams.reply_ack(THEIRS, Ping(5, "another"))
    assert case.taken() == [CloseStream(THEIRS)]
