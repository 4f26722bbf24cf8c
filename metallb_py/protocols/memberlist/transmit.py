"""What leaves as packets: messages, with rumours in the room that is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from metallb_py.protocols.memberlist.broadcasts import PER_RUMOUR, Broadcasts
from metallb_py.protocols.memberlist.codec.codec import encode
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
from metallb_py.protocols.memberlist.suspicion import retransmissions

CHECKSUM_SINCE = 5
"""The version of the protocol that knows checksums."""


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


class Tally:
    """What went by, in messages and in packets that were dropped."""

    __slots__ = ("dropped", "received", "sent")

    def __init__(self) -> None:
        self.received: Counter[Kind] = Counter()
        self.sent: Counter[Kind] = Counter()
        self.dropped: Counter[Drop] = Counter()

    def count(self, message: Message) -> None:
        """A message was received."""
        self.received[_KINDS[type(message)]] += 1

    def count_sent(self, data: bytes) -> None:
        """An encoded message is sent."""
        self.sent[Kind(data[0])] += 1

    def take(self) -> tuple[Counter[Kind], Counter[Kind], Counter[Drop]]:
        """Return what was received, sent and dropped, and begin anew."""
        counted = (self.received, self.sent, self.dropped)
        self.received, self.sent, self.dropped = Counter(), Counter(), Counter()
        return counted


class Post:
    """Packs, counts and sends."""

    def __init__(
        self, envelope: Envelope, settings: Settings, tally: Tally, do: Callable[[Effect], None]
    ) -> None:
        self._envelope = envelope
        self._settings = settings
        self._tally = tally
        self._do = do
        self._room = settings.udp_buffer_size - envelope.overhead
        self.rumours = Broadcasts()
        self.limit = retransmissions(settings, 1)
        """How often each rumour is told."""

    def resize(self, members: int) -> None:
        """The cluster has so many members now."""
        self.limit = retransmissions(self._settings, members)

    def send(self, to: Endpoint, *messages: Message, member: Member | None = None) -> None:
        """Send messages; and rumours to ``member``, which is who is there, where that is known.

        Each rumour is sent so many times and no more: strangers that ping would use them up.
        """
        parts = [encode(message) for message in messages]
        if member is not None:
            room = self._room - sum(len(part) + PER_RUMOUR for part in parts)
            parts += self.rumours.take(room, self.limit)
        self._send(to, parts, member)

    def tell(self, member: Member, message: Message) -> None:
        """Send a message without rumours, where those would be told to who knows them."""
        self._send(member.endpoint, [encode(message)], member)

    def gossip(self, member: Member) -> bool:
        """Send rumours. Returns whether there were any."""
        parts = self.rumours.take(self._room, self.limit)
        if parts:
            self._send(member.endpoint, parts, member)
        return bool(parts)

    def _send(self, to: Endpoint, parts: list[bytes], member: Member | None) -> None:
        for part in parts:
            self._tally.count_sent(part)
        checksum = member is not None and member.versions.most >= CHECKSUM_SINCE
        self._do(SendPacket(to, self._envelope.pack(parts, checksum=checksum)))
