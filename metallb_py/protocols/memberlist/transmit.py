"""Datagrams: messages, with broadcasts piggybacked in the remaining space (SWIM, section 4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from metallb_py.protocols.memberlist.broadcasts import PART_OVERHEAD, Broadcasts
from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.envelope import Drop, Envelope
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Alive,
    Dead,
    Endpoint,
    IndirectPing,
    Kind,
    Message,
    Nack,
    Ping,
    PushPull,
    RemoteError,
    Suspect,
    User,
)
from metallb_py.protocols.memberlist.events import Effect, Member, SendPacket
from metallb_py.protocols.memberlist.settings import Settings
from metallb_py.protocols.memberlist.suspicion import retransmit_limit

CHECKSUM_SINCE = 5
"""First version of the protocol with checksums."""


_KINDS: Final[Mapping[type[Message], Kind]] = {
    Ping: Kind.PING,
    IndirectPing: Kind.INDIRECT_PING,
    Ack: Kind.ACK,
    Nack: Kind.NACK,
    Suspect: Kind.SUSPECT,
    Alive: Kind.ALIVE,
    Dead: Kind.DEAD,
    User: Kind.USER,
    RemoteError: Kind.ERROR,
    PushPull: Kind.PUSH_PULL,
}


class Counters:
    """Messages received and sent, by kind, and datagrams and streams dropped, by reason."""

    __slots__ = ("dropped", "received", "sent")

    def __init__(self) -> None:
        self.received: Counter[Kind] = Counter()
        self.sent: Counter[Kind] = Counter()
        self.dropped: Counter[Drop] = Counter()

    def count(self, message: Message) -> None:
        """Count a received message."""
        self.received[_KINDS[type(message)]] += 1

    def count_sent(self, data: bytes) -> None:
        """Count an encoded message that is sent."""
        self.sent[Kind(data[0])] += 1

    def take(self) -> tuple[Counter[Kind], Counter[Kind], Counter[Drop]]:
        """Return the counts of received, sent and dropped, and start again at 0."""
        counted = (self.received, self.sent, self.dropped)
        self.received, self.sent, self.dropped = Counter(), Counter(), Counter()
        return counted


class PacketSender:
    """Packs messages into datagrams, counts them, and emits SendPacket."""

    def __init__(
        self,
        envelope: Envelope,
        settings: Settings,
        counters: Counters,
        emit: Callable[[Effect], None],
    ) -> None:
        self._envelope = envelope
        self._settings = settings
        self._counters = counters
        self._emit = emit
        self._room = settings.udp_buffer_size - envelope.overhead
        self.broadcasts = Broadcasts()
        self.limit = retransmit_limit(settings, 1)
        """Number of transmissions of each broadcast (memberlist: ``retransmitLimit``)."""

    def resize(self, members: int) -> None:
        """Adapt the number of transmissions to the number of members."""
        self.limit = retransmit_limit(self._settings, members)

    def send(self, to: Endpoint, *messages: Message, member: Member | None = None) -> None:
        """Send messages. ``member``: the member at that endpoint, which gets broadcasts as well.

        A host that is not a member gets none: each broadcast is sent a limited number of times, and
        unknown hosts that ping would use them up.
        """
        parts = [encode(message) for message in messages]
        if member is not None:
            room = self._room - sum(len(part) + PART_OVERHEAD for part in parts)
            parts += self.broadcasts.take(room, self.limit)
        self._send(to, parts, member)

    def send_alone(self, member: Member, message: Message) -> None:
        """Send a message without broadcasts, which would be spent on a member that has them."""
        self._send(member.endpoint, [encode(message)], member)

    def gossip(self, member: Member) -> bool:
        """Send pending broadcasts to a member. Return whether there were any."""
        parts = self.broadcasts.take(self._room, self.limit)
        if parts:
            self._send(member.endpoint, parts, member)
        return bool(parts)

    def _send(self, to: Endpoint, parts: list[bytes], member: Member | None) -> None:
        for part in parts:
            self._counters.count_sent(part)
        checksum = member is not None and member.versions.most >= CHECKSUM_SINCE
        self._emit(SendPacket(to, self._envelope.pack(parts, checksum=checksum)))
