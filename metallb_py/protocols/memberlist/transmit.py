"""Packing of messages: in datagrams, broadcasts fill the remaining space (SWIM, section 4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
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
from metallb_py.protocols.memberlist.events import Member, SendPacket
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


@dataclass(frozen=True, slots=True)
class SendMessages:
    """Messages to send in one datagram. ``member``: the member at that endpoint, if any."""

    to: Endpoint
    messages: tuple[Message, ...]
    member: Member | None = None


class Packer:
    """Packs messages into datagrams and streams, and counts them. Keeps the queued broadcasts."""

    __slots__ = ("_counters", "_envelope", "_room", "_settings", "broadcasts", "limit")

    def __init__(self, envelope: Envelope, settings: Settings, counters: Counters) -> None:
        self._envelope = envelope
        self._settings = settings
        self._counters = counters
        self._room = settings.udp_buffer_size - envelope.overhead
        self.broadcasts = Broadcasts()
        self.limit = retransmit_limit(settings, 1)
        """Number of transmissions of each broadcast (memberlist: ``retransmitLimit``)."""

    def resize(self, members: int) -> None:
        """Adapt the number of transmissions to the number of members."""
        self.limit = retransmit_limit(self._settings, members)

    def broadcast(self, message: Alive | Suspect | Dead) -> None:
        """Queue a broadcast, in place of an older one about the same member."""
        self.broadcasts.add(message.node, encode(message))

    def pack(self, to: Endpoint, *messages: Message, member: Member | None = None) -> SendPacket:
        """Pack messages. ``member``: the member at that endpoint, which gets broadcasts as well.

        A host that is not a member gets none: each broadcast is sent a limited number of times, and
        unknown hosts that ping would use them up.
        """
        parts = [encode(message) for message in messages]
        if member is not None:
            room = self._room - sum(len(part) + PART_OVERHEAD for part in parts)
            parts += self.broadcasts.take(room, self.limit)
        return self._packed(to, parts, member)

    def pack_alone(self, member: Member, message: Message) -> SendPacket:
        """Pack a message without broadcasts, which would be spent on a member that has them."""
        return self._packed(member.endpoint, [encode(message)], member)

    def pack_broadcasts(self, member: Member) -> SendPacket | None:
        """Pack queued broadcasts for a member; None if there are none."""
        parts = self.broadcasts.take(self._room, self.limit)
        return self._packed(member.endpoint, parts, member) if parts else None

    def pack_stream(self, message: Message, *, reply: bool = False) -> bytes:
        """Return the bytes of a message for a stream; ``reply``: the other side opened it."""
        data = encode(message)
        self._counters.count_sent(data)
        return self._envelope.pack_stream(data, reply=reply)

    def _packed(self, to: Endpoint, parts: list[bytes], member: Member | None) -> SendPacket:
        for part in parts:
            self._counters.count_sent(part)
        checksum = member is not None and member.versions.most >= CHECKSUM_SINCE
        return SendPacket(to, self._envelope.pack(parts, checksum=checksum))
