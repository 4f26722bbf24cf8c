"""Push-pull exchanges of all state, and the streams that this member opens.

As in memberlist, a push-pull runs at a join, and at intervals with a random member. Pings over TCP
reach a member where datagrams may be lost. Streams of other hosts are answered without state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from metallb_py.protocols.memberlist.codec.messages import (
    Alive,
    Dead,
    Endpoint,
    Message,
    NodeState,
    PushPull,
    RemoteError,
    State,
    Suspect,
)
from metallb_py.protocols.memberlist.events import (
    Joined,
    JoinFailed,
    Member,
    OpenStream,
    StreamId,
)
from metallb_py.protocols.memberlist.probe import TcpPing
from metallb_py.protocols.memberlist.state import StateMessage


@dataclass(frozen=True, slots=True)
class PushPullRequest:
    """A push-pull with the member at an endpoint. ``join``: report how it ends."""

    to: Endpoint
    join: bool


class Streams:
    """The open streams of this member, and the request that each was opened for."""

    __slots__ = ("_last", "_open")

    def __init__(self) -> None:
        self._open: dict[StreamId, PushPullRequest | TcpPing] = {}
        self._last = 0

    def open(self, request: PushPullRequest | TcpPing, data: bytes, deadline: float) -> OpenStream:
        """Open a stream to send ``data``, the packed request."""
        self._last += 2
        stream = StreamId(self._last)
        self._open[stream] = request
        return OpenStream(stream, request.to, data, deadline)

    def ended(self, stream: StreamId) -> PushPullRequest | TcpPing | None:
        """Forget a stream that ended. Return its request, or None if another host opened it."""
        return self._open.pop(stream, None)


def states_of(members: Iterable[Member], *, join: bool) -> PushPull:
    """Return the push-pull of all members."""
    states = tuple(
        NodeState(m.name, m.endpoint, m.incarnation, m.state, m.meta, m.versions) for m in members
    )
    return PushPull(states, join)


def messages_of(states: Iterable[NodeState], me: str) -> Iterator[StateMessage]:
    """Return the messages to which the states of a push-pull amount.

    A dead member there is only suspected here, as in memberlist: the other state may be outdated.
    """
    for each in states:
        match each.state:
            case State.ALIVE:
                yield Alive(each.incarnation, each.node, each.endpoint, each.meta, each.versions)
            case State.LEFT:
                yield Dead(each.incarnation, each.node, each.node)
            case State.SUSPECT | State.DEAD:
                yield Suspect(each.incarnation, each.node, me)


def join_result(request: PushPullRequest, answer: Message | str) -> tuple[Joined | JoinFailed, ...]:
    """Return the report on a join; nothing for another push-pull. A string is an error."""
    if not request.join:
        return ()
    match answer:
        case PushPull():
            return (Joined(request.to),)
        case str(error) | RemoteError(error):
            return (JoinFailed(request.to, error),)
        case _:
            return (JoinFailed(request.to, "unexpected answer"),)
