"""Members of a small gossip cluster, and decoding of effects, for tests of the state machine."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from random import Random
from typing import TypeVar

from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.envelope import Envelope, StreamReader
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Alive,
    Endpoint,
    Message,
    Ping,
    State,
)
from metallb_py.protocols.memberlist.events import (
    Effect,
    Member,
    OpenStream,
    Reply,
    SendPacket,
)
from metallb_py.protocols.memberlist.memberlist import Memberlist
from metallb_py.protocols.memberlist.members import Members
from metallb_py.protocols.memberlist.settings import FAST, PORT, Settings

E = TypeVar("E", bound=Effect)

ME = 0
INCARNATION = 10


def endpoint(number: int) -> Endpoint:
    """Return the endpoint of a member."""
    return Endpoint(IPv4Address("10.0.0.1") + number, PORT)


def name_of(number: int) -> str:
    """Return the name of a member."""
    return f"n{number}"


def member(number: int, state: State = State.ALIVE, incarnation: int = INCARNATION) -> Member:
    """Return a member."""
    return Member(name_of(number), endpoint(number), incarnation, state)


def alive(number: int, incarnation: int = INCARNATION, meta: bytes = b"") -> Alive:
    """Return the alive message of a member."""
    return Alive(incarnation, name_of(number), endpoint(number), meta)


def packets(effects: Iterable[Effect]) -> list[tuple[Endpoint, tuple[Message, ...]]]:
    """Return the datagrams among effects, decoded, with their destinations."""
    envelope = Envelope()
    return [(e.to, envelope.unpack(e.data).messages) for e in effects if isinstance(e, SendPacket)]


def sent(effects: Iterable[Effect], to: int | None = None) -> list[Message]:
    """Return the messages that are sent in datagrams: all, or those to one member."""
    wanted = None if to is None else endpoint(to)
    found = packets(effects)
    return [message for where, messages in found for message in messages if wanted in (None, where)]


def stream_message(effect: OpenStream | Reply) -> Message:
    """Return the message that is sent over a stream."""
    message = StreamReader(Envelope(), 1 << 20).feed(effect.data)
    assert message is not None
    return message


def of_kind(effects: Iterable[Effect], kind: type[E]) -> list[E]:
    """Return the effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def table(others: int) -> Members:
    """Return the member table of a member with ``others`` other members, all of them alive."""
    members = Members(member(ME), Random(1), 0.0)
    for number in range(1, others + 1):
        members.put(member(number), 0.0)
    return members


def machine(others: int, settings: Settings = FAST, now: float = 0.0) -> Memberlist:
    """Return a member with ``others`` other members, all of them alive."""
    made = Memberlist(member(ME), settings, Envelope(), Random(1), now)
    envelope = Envelope()
    for number in range(1, others + 1):
        made.receive(envelope.pack([encode(alive(number))]), endpoint(number), now)
    return made


def receive(made: Memberlist, source: int, *messages: Message, now: float) -> tuple[Effect, ...]:
    """Deliver a datagram from another member; return the effects."""
    return made.receive(packed(*messages), endpoint(source), now)


def packed(*messages: Message) -> bytes:
    """Return a datagram with these messages."""
    return Envelope().pack([encode(message) for message in messages])


def run_until(made: Memberlist, until: float, *, answered: bool = False) -> list[Effect]:
    """Advance the time; return all effects. With ``answered``, each ping gets an ack at once."""
    effects: list[Effect] = []
    steps = 0
    while (now := made.next_deadline()) <= until:
        steps += 1
        assert steps < 100_000, "an expired deadline stays due"
        done = made.handle_timeout(now)
        effects += done
        if answered:
            for to, messages in packets(done):
                acks = [Ack(message.sequence) for message in messages if isinstance(message, Ping)]
                for ack in acks:
                    effects += made.receive(packed(ack), to, now)
    return effects
