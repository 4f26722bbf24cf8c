"""Encoding and decoding of messages: a type byte, then a map of named fields (``net.go``).

Fields are written in the order of their names, as Go does, and read in any order.

A user message has its payload instead of a map. A push-pull's map is followed by one map for each
member, and by the application's state. Over a stream a user message has a map, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec.decode import (
    FIELDS_LIMIT,
    Compressed,
    Head,
    read_ack,
    read_alive,
    read_compressed,
    read_dead,
    read_error,
    read_indirect_ping,
    read_nack,
    read_ping,
    read_push_pull,
    read_state,
    read_suspect,
    read_user,
)
from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    Ack,
    Alive,
    Dead,
    Endpoint,
    IndirectPing,
    Kind,
    Message,
    Nack,
    NodeState,
    Ping,
    PushPull,
    RemoteError,
    Suspect,
    User,
)
from metallb_py.protocols.memberlist.codec.msgpack_fields import (
    DecodeError,
    Fields,
    MapReader,
    OversizedError,
    pack,
    read,
)

MEMBERS_LIMIT: Final = 20_000
"""Most members in a push-pull: more nodes than Kubernetes supports, some dozen megabytes here."""
STATE_MEMORY: Final = 430
"""Bytes of memory, about, of a decoded member besides its encoded bytes."""
_STATE_MINIMUM: Final = 16
"""Least bytes of an encoded member in a push-pull: the head of a map, a name and an address."""


class UnknownKindError(DecodeError):
    """No message is of this kind, or it is not allowed here."""


def encode(message: Message) -> bytes:
    """Return type byte and fields. Raises LocalProtocolError for values out of range."""
    try:
        return _encode(message)
    except (OverflowError, ValueError) as error:
        raise LocalProtocolError(f"{type(message).__name__}: {error}") from error


def encode_compressed(data: bytes) -> bytes:
    """Wrap LZW-compressed data in a compress message."""
    return b"\x09" + pack({"Algo": 0, "Buf": data})


def _encode(message: Message) -> bytes:
    match message:
        case Ping(sequence, node, source, source_node):
            fields: dict[str, object] = {"Node": node, "SeqNo": sequence}
            return b"\x00" + pack(fields | _source(source, source_node))
        case IndirectPing():
            return b"\x01" + pack(_indirect_ping(message))
        case Ack(sequence, payload):
            return b"\x02" + pack({"Payload": payload or None, "SeqNo": sequence})
        case Suspect(incarnation, node, reporter) | Dead(incarnation, node, reporter):
            kind = b"\x03" if isinstance(message, Suspect) else b"\x05"
            return kind + pack({"From": reporter, "Incarnation": incarnation, "Node": node})
        case Alive():
            return b"\x04" + pack(_alive(message))
        case PushPull():
            return b"\x06" + _push_pull(message)
        case User(payload):
            return b"\x08" + payload
        case Nack(sequence):
            return b"\x0b" + pack({"SeqNo": sequence})
        case RemoteError(text):
            return b"\x0d" + pack({"Error": text})
    assert_never(message)


def _source(source: Endpoint | None, node: str) -> dict[str, object]:
    """Return the fields of a ping's source, without those that are empty."""
    fields: dict[str, object] = {}
    if source is not None:
        fields["SourceAddr"] = source.address.packed
    if node:
        fields["SourceNode"] = node
    if source is not None:
        fields["SourcePort"] = source.port
    return fields


def _indirect_ping(ping: IndirectPing) -> dict[str, object]:
    fields: dict[str, object] = {
        "Nack": ping.nack,
        "Node": ping.node,
        "Port": ping.target.port,
        "SeqNo": ping.sequence,
    }
    source = _source(ping.source, ping.source_node)
    return fields | source | {"Target": ping.target.address.packed}


def _alive(member: Alive) -> dict[str, object]:
    return {
        "Addr": member.endpoint.address.packed,
        "Incarnation": member.incarnation,
        "Meta": _checked(member.meta),
        "Node": member.node,
        "Port": member.endpoint.port,
        "Vsn": bytes(member.versions),
    }


def _push_pull(sent: PushPull) -> bytes:
    head = {"Join": sent.join, "Nodes": len(sent.states), "UserStateLen": len(sent.user_state)}
    return b"".join((pack(head), *map(_member, sent.states), sent.user_state))


def _member(state: NodeState) -> bytes:
    return pack(
        {
            "Addr": state.endpoint.address.packed,
            "Incarnation": state.incarnation,
            "Meta": _checked(state.meta),
            "Name": state.node,
            "Port": state.endpoint.port,
            "State": int(state.state),
            "Vsn": bytes(state.versions),
        }
    )


def _checked(meta: bytes) -> bytes | None:
    if len(meta) > META_LIMIT:
        raise ValueError(f"found {len(meta)} bytes of metadata, want up to {META_LIMIT}")
    return meta or None


def decode(data: bytes) -> Message:
    """Decode one complete message and nothing after it. Raises DecodeError."""
    kind = data[0] if data else -1
    known = _READERS.get(kind)
    if known is not None:
        if len(data) > FIELDS_LIMIT:
            raise OversizedError(f"found {len(data)} bytes, want up to {FIELDS_LIMIT}")
        return read(data[1:], *known)
    match kind:
        case Kind.USER:
            return User(data[1:])
        case Kind.PUSH_PULL:
            return _decode_push_pull(data)
        case -1:
            raise DecodeError("found nothing, want a message")
    raise UnknownKindError(f"found kind {kind}, want a message")


def decode_compressed(data: bytes) -> bytes:
    """Return the LZW-compressed data of a compress message. Raises DecodeError."""
    return read(data[1:], Compressed, read_compressed).data


def _decode_push_pull(data: bytes) -> PushPull:
    reader = MessageReader(Kind.PUSH_PULL, len(data))
    message = reader.feed(data[1:])
    if not isinstance(message, PushPull):
        raise DecodeError(f"push-pull: ends early, after {len(data)} bytes")
    if reader.consumed != len(data) - 1:
        raise DecodeError(f"push-pull: {len(data) - 1 - reader.consumed} bytes are left over")
    return message


class MessageReader:
    """Decodes one message of a stream incrementally, after its first byte, ``kind``.

    Raises UnknownKindError for a kind that is not allowed in streams; ``feed`` raises DecodeError,
    and OversizedError for a message of more than ``limit`` bytes.
    """

    __slots__ = ("_fed", "_first", "_head", "_limit", "_maps", "_rest", "_states")

    def __init__(self, kind: int, limit: int) -> None:
        first = _FIRST.get(kind)
        if first is None:
            raise UnknownKindError(f"found kind {kind}, want one for streams")
        self._first = first
        self._limit = limit
        self._maps = MapReader(limit)
        self._fed = 0
        self._head: Head | None = None
        self._states: list[NodeState] = []
        self._rest = bytearray()  # bytes would be copied for each piece

    @property
    def consumed(self) -> int:
        """Number of bytes of the message that were decoded so far."""
        return self._maps.consumed

    @property
    def states(self) -> int:
        """Number of members decoded so far."""
        return len(self._states)

    @property
    def held(self) -> int:
        """Bytes of memory in use, about, including what was decoded so far."""
        unread = self._fed - self._maps.consumed
        return self._fed + unread + STATE_MEMORY * len(self._states)

    def feed(self, data: bytes) -> Message | Compressed | None:
        """Return the message once it is complete. What follows it is ignored."""
        self._fed += len(data)
        if self._fed > self._limit:
            raise OversizedError(f"found {self._fed} bytes so far, want up to {self._limit}")
        self._maps.feed(data)
        if self._head is None:
            found = self._maps.next(*self._first)
            if not isinstance(found, Head):
                return found
            self._head = self._bounded(found)
        return self._read_rest(self._head)

    def _bounded(self, head: Head) -> Head:
        """Return the head, unless what it announces is too large. Raises OversizedError."""
        if head.states * _STATE_MINIMUM + head.rest > self._limit or head.states > MEMBERS_LIMIT:
            raise OversizedError(
                f"found {head.states} members and {head.rest} bytes of state announced,"
                f" want up to {MEMBERS_LIMIT}, and {self._limit} bytes in all"
            )
        return head

    def _read_rest(self, head: Head) -> Message | None:
        while len(self._states) < head.states:
            state = self._maps.next(NodeState, read_state)
            if state is None:
                return None
            self._states.append(state)
        self._rest += self._maps.take(head.rest - len(self._rest))
        if len(self._rest) < head.rest:
            return None
        if head.kind is Kind.USER:
            return User(bytes(self._rest))
        return PushPull(tuple(self._states), head.join, bytes(self._rest))


_READERS: Final[Mapping[int, tuple[type[Message], Callable[[Fields], Message]]]] = {
    Kind.PING: (Ping, read_ping),
    Kind.INDIRECT_PING: (IndirectPing, read_indirect_ping),
    Kind.ACK: (Ack, read_ack),
    Kind.SUSPECT: (Suspect, read_suspect),
    Kind.ALIVE: (Alive, read_alive),
    Kind.DEAD: (Dead, read_dead),
    Kind.NACK: (Nack, read_nack),
    Kind.ERROR: (RemoteError, read_error),
}

_First = Message | Compressed | Head
_FIRST: Final[Mapping[int, tuple[type[_First], Callable[[Fields], _First]]]] = {
    Kind.PING: (Ping, read_ping),
    Kind.ACK: (Ack, read_ack),
    Kind.PUSH_PULL: (Head, read_push_pull),
    Kind.USER: (Head, read_user),
    Kind.COMPRESS: (Compressed, read_compressed),
    Kind.ERROR: (RemoteError, read_error),
}
"""The first map of each kind of message that is allowed in streams."""
