"""What goes over streams: all that two members know, and pings where packets may not get through.

Memberlist, too, exchanges everything so: at a join, and now and then with somebody at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metallb_py.protocols.memberlist.codec.codec import encode
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
from metallb_py.protocols.memberlist.transmit import Tally


@dataclass(frozen=True, slots=True)
class Exchange:
    """Everything was told to who is there, to hear as much."""

    endpoint: Endpoint
    join: bool


@dataclass(frozen=True, slots=True)
class TcpPing:
    """The ping of this number goes over TCP as well."""

    sequence: int


class Streams:
    """Those that we opened. Others' are answered at once, so nothing is known of them."""

    def __init__(
        self, members: Members, envelope: Envelope, tally: Tally, do: Callable[[Effect], None]
    ) -> None:
        self._members = members
        self._envelope = envelope
        self._tally = tally
        self._do = do
        self._open: dict[StreamId, Exchange | TcpPing] = {}
        self._last = 0

    def exchange(self, endpoint: Endpoint, deadline: float, *, join: bool) -> None:
        """Tell all that is known, and ask for the same. ``join``: whether to tell how that ends."""
        everything = self._everything(join=join)
        self._begin(endpoint, everything, deadline, Exchange(endpoint, join))

    def ping(self, member: Member, ping: Ping, deadline: float) -> None:
        """Ping a member."""
        self._begin(member.endpoint, ping, deadline, TcpPing(ping.sequence))

    def ended(self, stream: StreamId) -> Exchange | TcpPing | None:
        """Return what a stream of ours was for; it is no more. None: it is not ours."""
        return self._open.pop(stream, None)

    def succeeded(self, exchange: Exchange) -> None:
        """Both sides know the same."""
        if exchange.join:
            self._do(Joined(exchange.endpoint))

    def failed(self, exchange: Exchange, answer: Message | str) -> None:
        """Something else than everything was answered, or nothing."""
        if isinstance(answer, RemoteError):
            answer = answer.text
        elif not isinstance(answer, str):
            answer = "unexpected answer"
        if exchange.join:
            self._do(JoinFailed(exchange.endpoint, answer))

    def reply_everything(self, stream: StreamId, *, join: bool) -> None:
        """Answer with all that is known."""
        self._reply(stream, self._everything(join=join))

    def reply_ack(self, stream: StreamId, ping: Ping) -> None:
        """Answer a ping, if it is for this member."""
        if ping.node in ("", self._members.me.name):
            self._reply(stream, Ack(ping.sequence))
        else:
            self.close(stream)

    def close(self, stream: StreamId) -> None:
        """There is nothing to answer."""
        self._do(CloseStream(stream))

    def _begin(
        self, to: Endpoint, message: Message, deadline: float, about: Exchange | TcpPing
    ) -> None:
        self._last += 2
        stream = StreamId(self._last)
        self._open[stream] = about
        data = encode(message)
        self._tally.count_sent(data)
        self._do(OpenStream(stream, to, self._envelope.pack_stream(data), deadline))

    def _reply(self, stream: StreamId, message: Message) -> None:
        data = encode(message)
        self._tally.count_sent(data)
        self._do(Reply(stream, self._envelope.pack_stream(data, reply=True)))

    def _everything(self, *, join: bool) -> PushPull:
        members = (record.member for record in self._members)
        states = tuple(
            NodeState(m.name, m.endpoint, m.incarnation, m.state, m.meta, m.versions)
            for m in members
        )
        return PushPull(states, join)
