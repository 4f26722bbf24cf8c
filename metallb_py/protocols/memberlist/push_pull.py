"""Streams of the memberlist machine: push-pull exchanges of all state, and pings over TCP.

As in memberlist, a push-pull runs at a join, and at intervals with a random member. Pings over TCP
reach a member where datagrams may be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Endpoint,
    Message,
    NodeState,
    Ping,
    PushPull,
    RemoteError,
)
from metallb_py.protocols.memberlist.events import (
    CloseStream,
    Effect,
    Joined,
    JoinFailed,
    Member,
    OpenStream,
    Reply,
    StreamId,
)
from metallb_py.protocols.memberlist.members import Members
from metallb_py.protocols.memberlist.transmit import Counters


@dataclass(frozen=True, slots=True)
class PushPullRequest:
    """A push-pull with the member at an endpoint. ``join``: report how it ends."""

    endpoint: Endpoint
    join: bool


@dataclass(frozen=True, slots=True)
class TcpPing:
    """A ping over TCP, with the sequence number of the probe."""

    sequence: int


class Streams:
    """The streams that this member opened. Those of other hosts are answered without state."""

    def __init__(
        self,
        members: Members,
        envelope: Envelope,
        counters: Counters,
        emit: Callable[[Effect], None],
    ) -> None:
        self._members = members
        self._envelope = envelope
        self._counters = counters
        self._emit = emit
        self._open: dict[StreamId, PushPullRequest | TcpPing] = {}
        self._last = 0

    def exchange(self, endpoint: Endpoint, deadline: float, *, join: bool) -> None:
        """Begin a push-pull: send all state, and request the same. ``join``: report how it ends."""
        state = self._all_states(join=join)
        self._begin(endpoint, state, deadline, PushPullRequest(endpoint, join))

    def ping(self, member: Member, ping: Ping, deadline: float) -> None:
        """Begin a ping over TCP."""
        self._begin(member.endpoint, ping, deadline, TcpPing(ping.sequence))

    def ended(self, stream: StreamId) -> PushPullRequest | TcpPing | None:
        """Forget a stream that ended. Return its purpose, or None if another host opened it."""
        return self._open.pop(stream, None)

    def succeeded(self, exchange: PushPullRequest) -> None:
        """Report a join whose push-pull succeeded."""
        if exchange.join:
            self._emit(Joined(exchange.endpoint))

    def failed(self, exchange: PushPullRequest, answer: Message | str) -> None:
        """Report a join whose push-pull failed, or got an unexpected answer."""
        if isinstance(answer, RemoteError):
            answer = answer.text
        elif not isinstance(answer, str):
            answer = "unexpected answer"
        if exchange.join:
            self._emit(JoinFailed(exchange.endpoint, answer))

    def reply_push_pull(self, stream: StreamId, *, join: bool) -> None:
        """Answer a push-pull with all state."""
        self._reply(stream, self._all_states(join=join))

    def reply_ack(self, stream: StreamId, ping: Ping) -> None:
        """Answer a ping for this member; close the stream of one for another."""
        if ping.node in ("", self._members.me.name):
            self._reply(stream, Ack(ping.sequence))
        else:
            self.close(stream)

    def close(self, stream: StreamId) -> None:
        """Close a stream without an answer."""
        self._emit(CloseStream(stream))

    def _begin(
        self, to: Endpoint, message: Message, deadline: float, about: PushPullRequest | TcpPing
    ) -> None:
        self._last += 2
        stream = StreamId(self._last)
        self._open[stream] = about
        data = encode(message)
        self._counters.count_sent(data)
        self._emit(OpenStream(stream, to, self._envelope.pack_stream(data), deadline))

    def _reply(self, stream: StreamId, message: Message) -> None:
        data = encode(message)
        self._counters.count_sent(data)
        self._emit(Reply(stream, self._envelope.pack_stream(data, reply=True)))

    def _all_states(self, *, join: bool) -> PushPull:
        members = (record.member for record in self._members)
        states = tuple(
            NodeState(m.name, m.endpoint, m.incarnation, m.state, m.meta, m.versions)
            for m in members
        )
        return PushPull(states, join)
