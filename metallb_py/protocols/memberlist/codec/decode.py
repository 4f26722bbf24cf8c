"""Decoding of messages (``net.go``): a type byte, then a map of named fields, in any order.

``decode`` reads a message of a datagram, ``MessageReader`` one of a stream, where a user message
has a map, too. Every value is checked; a missing field and nil are the zero value, unknown fields
are ignored. Each function raises DecodeError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    NAME_LIMIT,
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
    State,
    Suspect,
    User,
    Versions,
)
from metallb_py.protocols.memberlist.codec.msgpack_fields import (
    DecodeError,
    Fields,
    MapReader,
    OversizedError,
    read,
)

FIELDS_LIMIT: Final = 4096
"""Most bytes of a map of fields in a datagram. memberlist's own stay under 1,200."""
MEMBERS_LIMIT: Final = 20_000
"""Most members in a push-pull: more nodes than Kubernetes supports, some dozen megabytes here."""
STATE_MEMORY: Final = 430
"""Bytes of memory, about, of a decoded member besides its encoded bytes."""
_STATE_MINIMUM: Final = 16
"""Least bytes of an encoded member in a push-pull: the head of a map, a name and an address."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_VERSIONS_LIMIT: Final = 16
_U16: Final = 0xFFFF
_U32: Final = 0xFFFFFFFF
_NO_VERSIONS: Final = Versions(0, 0, 0, 0, 0, 0)
_STATES: Final = tuple(State)


class UnknownKindError(DecodeError):
    """No message is of this kind, or it is not allowed here."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """A compress message: a message compressed with LZW."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The first map of a stream's message that continues after it: a push-pull, or a user message.

    ``states`` maps of members follow, then ``rest`` bytes.
    """

    kind: Kind
    states: int
    rest: int
    join: bool = False


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
    return read(data[1:], Compressed, _read_compressed).data


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
            state = self._maps.next(NodeState, _read_state)
            if state is None:
                return None
            self._states.append(state)
        self._rest += self._maps.take(head.rest - len(self._rest))
        if len(self._rest) < head.rest:
            return None
        if head.kind is Kind.USER:
            return User(bytes(self._rest))
        return PushPull(tuple(self._states), head.join, bytes(self._rest))


def _read_ping(fields: Fields) -> Ping:
    return Ping(
        _number(fields, b"SeqNo", _U32),
        _text(fields, b"Node", NAME_LIMIT),
        _read_source(fields),
        _text(fields, b"SourceNode", NAME_LIMIT),
    )


def _read_indirect_ping(fields: Fields) -> IndirectPing:
    return IndirectPing(
        _number(fields, b"SeqNo", _U32),
        _read_endpoint(fields, b"Target", b"Port"),
        _text(fields, b"Node", NAME_LIMIT),
        _flag(fields, b"Nack"),
        _read_source(fields),
        _text(fields, b"SourceNode", NAME_LIMIT),
    )


def _read_ack(fields: Fields) -> Ack:
    return Ack(_number(fields, b"SeqNo", _U32), _raw(fields, b"Payload", FIELDS_LIMIT))


def _read_nack(fields: Fields) -> Nack:
    return Nack(_number(fields, b"SeqNo", _U32))


def _read_suspect(fields: Fields) -> Suspect:
    return Suspect(
        _number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        _text(fields, b"From", NAME_LIMIT),
    )


def _read_dead(fields: Fields) -> Dead:
    return Dead(
        _number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        _text(fields, b"From", NAME_LIMIT),
    )


def _read_alive(fields: Fields) -> Alive:
    return Alive(
        _number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        _read_endpoint(fields, b"Addr", b"Port"),
        _raw(fields, b"Meta", META_LIMIT),
        _read_versions(fields),
    )


def _read_state(fields: Fields) -> NodeState:
    return NodeState(
        _read_name(fields, b"Name"),
        _read_endpoint(fields, b"Addr", b"Port"),
        _number(fields, b"Incarnation", _U32),
        _STATES[_number(fields, b"State", len(_STATES) - 1)],
        _raw(fields, b"Meta", META_LIMIT),
        _read_versions(fields),
    )


def _read_error(fields: Fields) -> RemoteError:
    return RemoteError(_raw(fields, b"Error", FIELDS_LIMIT).decode("utf-8", "replace"))


def _read_push_pull(fields: Fields) -> Head:
    nodes, rest = _number(fields, b"Nodes", _U32), _number(fields, b"UserStateLen", _U32)
    return Head(Kind.PUSH_PULL, nodes, rest, _flag(fields, b"Join"))


def _read_user(fields: Fields) -> Head:
    return Head(Kind.USER, 0, _number(fields, b"UserMsgLen", _U32))


def _read_compressed(fields: Fields) -> Compressed:
    _number(fields, b"Algo", 0)
    return Compressed(_raw(fields, b"Buf", _U32))


def _read_name(fields: Fields, field: bytes) -> str:
    name = _text(fields, field, NAME_LIMIT)
    if not name:
        raise DecodeError(f"{field.decode()}: found nothing, want the name of a member")
    return name


def _read_source(fields: Fields) -> Endpoint | None:
    """Read the source that wants the answer; None unless there is both an address and a port."""
    if not _number(fields, b"SourcePort", _U16) or not fields.get(b"SourceAddr"):
        return None
    return _read_endpoint(fields, b"SourceAddr", b"SourcePort")


def _read_endpoint(fields: Fields, address: bytes, port: bytes) -> Endpoint:
    """Read an address of either family, and a port, which old members may omit (0)."""
    packed = _raw(fields, address, 16)
    if len(packed) == 16 and packed.startswith(_MAPPED):
        packed = packed[12:]
    if len(packed) == 4:
        return Endpoint(IPv4Address(packed), _number(fields, port, _U16))
    if len(packed) == 16:
        return Endpoint(IPv6Address(packed), _number(fields, port, _U16))
    raise DecodeError(f"{address.decode()}: found {len(packed)} bytes, want 4 or 16")


def _read_versions(fields: Fields) -> Versions:
    """Read six versions. Fewer count as none, as in memberlist."""
    found = _raw(fields, b"Vsn", _VERSIONS_LIMIT)
    return Versions(*found[:6]) if len(found) >= 6 else _NO_VERSIONS


def _number(fields: Fields, name: bytes, most: int) -> int:
    """Return a number from 0 to ``most``; 0 if it is missing. Raises DecodeError."""
    value = fields.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= most:
        raise _wrong(name, value, f"a number up to {most}")
    return value


def _raw(fields: Fields, name: bytes, most: int) -> bytes:
    """Return up to ``most`` bytes; none if they are missing. Raises DecodeError."""
    value = fields.get(name)
    if value is None:
        return b""
    if type(value) is not bytes or len(value) > most:
        raise _wrong(name, value, f"up to {most} bytes")
    return value


def _text(fields: Fields, name: bytes, most: int) -> str:
    """Return UTF-8 text of up to ``most`` bytes; empty if it is missing. Raises DecodeError."""
    try:
        return _raw(fields, name, most).decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"{name.decode()}: want UTF-8: {error}") from error


def _flag(fields: Fields, name: bytes) -> bool:
    """Return a boolean; False if it is missing. Raises DecodeError."""
    value = fields.get(name)
    if value is None:
        return False
    if type(value) is not bool:
        raise _wrong(name, value, "a boolean")
    return value


def _wrong(name: bytes, value: object, want: str) -> DecodeError:
    found = type(value).__name__
    if isinstance(value, bytes):
        found = f"{len(value)} bytes"
    elif type(value) is int:
        found = str(value)
    return DecodeError(f"{name.decode()}: found {found}, want {want}")


_READERS: Final[Mapping[int, tuple[type[Message], Callable[[Fields], Message]]]] = {
    Kind.PING: (Ping, _read_ping),
    Kind.INDIRECT_PING: (IndirectPing, _read_indirect_ping),
    Kind.ACK: (Ack, _read_ack),
    Kind.SUSPECT: (Suspect, _read_suspect),
    Kind.ALIVE: (Alive, _read_alive),
    Kind.DEAD: (Dead, _read_dead),
    Kind.NACK: (Nack, _read_nack),
    Kind.ERROR: (RemoteError, _read_error),
}

_First = Message | Compressed | Head
_FIRST: Final[Mapping[int, tuple[type[_First], Callable[[Fields], _First]]]] = {
    Kind.PING: (Ping, _read_ping),
    Kind.ACK: (Ack, _read_ack),
    Kind.PUSH_PULL: (Head, _read_push_pull),
    Kind.USER: (Head, _read_user),
    Kind.COMPRESS: (Compressed, _read_compressed),
    Kind.ERROR: (RemoteError, _read_error),
}
"""The first map of each kind of message that is allowed in streams."""
