"""Messages to bytes and back: one type byte, then a map of named fields (memberlist's ``net.go``).

A user message has its bytes instead of a map; after a push-pull's map come as many maps as there
are members, and an application's state. Over a stream a user message has a map, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, assert_never

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.fields import (
    DecodeError,
    Fields,
    MapReader,
    OversizedError,
    flag,
    number,
    pack,
    raw,
    read,
    text,
)
from metallb_py.protocols.memberlist.messages import (
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

FIELDS_LIMIT: Final = 4096
"""The longest map of fields in a datagram, in bytes. Memberlist's own stay under 1,200."""
_STATE_MINIMUM: Final = 16
"""A member in a push-pull takes at least a map's head, a name and an address."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_VERSIONS_LIMIT: Final = 16
_U16: Final = 0xFFFF
_U32: Final = 0xFFFFFFFF
_NO_VERSIONS: Final = Versions(0, 0, 0, 0, 0, 0)
_STATES: Final = tuple(State)


@dataclass(frozen=True, slots=True)
class Compressed:
    """Wraps a message that is packed by LZW."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What a stream's message begins with, where one map does not say it all."""

    kind: Kind
    states: int
    rest: int
    join: bool = False


def encode(message: Message) -> bytes:
    """Return type byte and fields. Raises LocalProtocolError for what can't be told so."""
    try:
        return _encode(message)
    except (OverflowError, ValueError) as error:
        raise LocalProtocolError(f"{type(message).__name__}: {error}") from error


def encode_compressed(data: bytes) -> bytes:
    """Wrap what LZW made."""
    return b"\x09" + pack({"Algo": 0, "Buf": data})


def _encode(message: Message) -> bytes:
    match message:
        case Ping(sequence, node, source, source_node):
            fields: dict[str, object] = {"SeqNo": sequence, "Node": node}
            return b"\x00" + pack(fields | _source(source, source_node))
        case IndirectPing():
            return b"\x01" + pack(_indirect_ping(message))
        case Ack(sequence, payload):
            return b"\x02" + pack({"SeqNo": sequence, "Payload": payload or None})
        case Suspect(incarnation, node, reporter) | Dead(incarnation, node, reporter):
            kind = b"\x03" if isinstance(message, Suspect) else b"\x05"
            return kind + pack({"Incarnation": incarnation, "Node": node, "From": reporter})
        case Alive():
            return b"\x04" + pack(_alive(message))
        case PushPull():
            return b"\x06" + _push_pull(message)
        case User(payload):
            return b"\x08" + payload
        case Nack(sequence):
            return b"\x0b" + pack({"SeqNo": sequence})
        case RemoteError(words):
            return b"\x0d" + pack({"Error": words})
    assert_never(message)


def _source(source: Endpoint | None, node: str) -> dict[str, object]:
    """Return what is left out where it is empty."""
    fields: dict[str, object] = {}
    if source is not None:
        fields = {"SourceAddr": source.address.packed, "SourcePort": source.port}
    if node:
        fields["SourceNode"] = node
    return fields


def _indirect_ping(ping: IndirectPing) -> dict[str, object]:
    fields: dict[str, object] = {
        "SeqNo": ping.sequence,
        "Target": ping.target.address.packed,
        "Port": ping.target.port,
        "Node": ping.node,
        "Nack": ping.nack,
    }
    return fields | _source(ping.source, ping.source_node)


def _alive(member: Alive) -> dict[str, object]:
    return {
        "Incarnation": member.incarnation,
        "Node": member.node,
        "Addr": member.endpoint.address.packed,
        "Port": member.endpoint.port,
        "Meta": _checked(member.meta),
        "Vsn": bytes(member.versions),
    }


def _push_pull(told: PushPull) -> bytes:
    header = {"Nodes": len(told.states), "UserStateLen": len(told.user_state), "Join": told.join}
    return b"".join((pack(header), *map(_member, told.states), told.user_state))


def _member(state: NodeState) -> bytes:
    return pack(
        {
            "Name": state.node,
            "Addr": state.endpoint.address.packed,
            "Port": state.endpoint.port,
            "Meta": _checked(state.meta),
            "Incarnation": state.incarnation,
            "State": int(state.state),
            "Vsn": bytes(state.versions),
        }
    )


def _checked(meta: bytes) -> bytes | None:
    if len(meta) > META_LIMIT:
        raise ValueError(f"found {len(meta)} bytes of metadata, want up to {META_LIMIT}")
    return meta or None


def decode(data: bytes) -> Message:
    """Read a message, whole and alone. Raises DecodeError."""
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
    raise DecodeError(f"found kind {kind}, want a message" if data else "found nothing")


def decode_compressed(data: bytes) -> bytes:
    """Return what LZW made. Raises DecodeError."""
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
    """Reads one message as it comes over a stream, after its first byte, ``kind``.

    Raises DecodeError for a kind that has no place in streams; OversizedError, here and in
    ``feed``, where the message is longer than ``limit`` bytes.
    """

    __slots__ = ("_first", "_head", "_limit", "_maps", "_rest", "_states")

    def __init__(self, kind: int, limit: int) -> None:
        first = _FIRST.get(kind)
        if first is None:
            raise DecodeError(f"found kind {kind}, want one for streams")
        self._first = first
        self._limit = limit
        self._maps = MapReader(limit)
        self._head: Head | None = None
        self._states: list[NodeState] = []
        self._rest = b""

    @property
    def consumed(self) -> int:
        """How many bytes the message has, as far as it was read."""
        return self._maps.consumed

    def feed(self, data: bytes) -> Message | Compressed | None:
        """Return the message when it is whole. What comes after it is left alone."""
        self._maps.feed(data)
        if self._head is None:
            found = self._maps.next(*self._first)
            if not isinstance(found, Head):
                return found
            if found.states * _STATE_MINIMUM + found.rest > self._limit:
                raise OversizedError(
                    f"found {found.states} members and {found.rest} bytes of state announced,"
                    f" want no more than {self._limit} bytes in all"
                )
            self._head = found
        return self._read_rest(self._head)

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
            return User(self._rest)
        return PushPull(tuple(self._states), head.join, self._rest)


def _read_ping(fields: Fields) -> Ping:
    return Ping(
        number(fields, b"SeqNo", _U32),
        text(fields, b"Node", NAME_LIMIT),
        _read_source(fields),
        text(fields, b"SourceNode", NAME_LIMIT),
    )


def _read_indirect_ping(fields: Fields) -> IndirectPing:
    return IndirectPing(
        number(fields, b"SeqNo", _U32),
        _read_endpoint(fields, b"Target", b"Port"),
        text(fields, b"Node", NAME_LIMIT),
        flag(fields, b"Nack"),
        _read_source(fields),
        text(fields, b"SourceNode", NAME_LIMIT),
    )


def _read_ack(fields: Fields) -> Ack:
    return Ack(number(fields, b"SeqNo", _U32), raw(fields, b"Payload", FIELDS_LIMIT))


def _read_nack(fields: Fields) -> Nack:
    return Nack(number(fields, b"SeqNo", _U32))


def _read_suspect(fields: Fields) -> Suspect:
    return Suspect(
        number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        text(fields, b"From", NAME_LIMIT),
    )


def _read_dead(fields: Fields) -> Dead:
    return Dead(
        number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        text(fields, b"From", NAME_LIMIT),
    )


def _read_alive(fields: Fields) -> Alive:
    return Alive(
        number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        _read_endpoint(fields, b"Addr", b"Port"),
        raw(fields, b"Meta", META_LIMIT),
        _read_versions(fields),
    )


def _read_state(fields: Fields) -> NodeState:
    return NodeState(
        _read_name(fields, b"Name"),
        _read_endpoint(fields, b"Addr", b"Port"),
        number(fields, b"Incarnation", _U32),
        _STATES[number(fields, b"State", len(_STATES) - 1)],
        raw(fields, b"Meta", META_LIMIT),
        _read_versions(fields),
    )


def _read_error(fields: Fields) -> RemoteError:
    return RemoteError(raw(fields, b"Error", FIELDS_LIMIT).decode("utf-8", "replace"))


def _read_push_pull(fields: Fields) -> Head:
    nodes, rest = number(fields, b"Nodes", _U32), number(fields, b"UserStateLen", _U32)
    return Head(Kind.PUSH_PULL, nodes, rest, flag(fields, b"Join"))


def _read_user(fields: Fields) -> Head:
    return Head(Kind.USER, 0, number(fields, b"UserMsgLen", _U32))


def _read_compressed(fields: Fields) -> Compressed:
    number(fields, b"Algo", 0)
    return Compressed(raw(fields, b"Buf", _U32))


def _read_name(fields: Fields, field: bytes) -> str:
    name = text(fields, field, NAME_LIMIT)
    if not name:
        raise DecodeError(f"{field.decode()}: found nothing, want the name of a member")
    return name


def _read_source(fields: Fields) -> Endpoint | None:
    port = number(fields, b"SourcePort", _U16)
    return _read_endpoint(fields, b"SourceAddr", b"SourcePort") if port else None


def _read_endpoint(fields: Fields, address: bytes, port: bytes) -> Endpoint:
    """Read an address in either family, and a port, which members of old may leave out."""
    packed = raw(fields, address, 16)
    if len(packed) == 16 and packed.startswith(_MAPPED):
        packed = packed[12:]
    if len(packed) == 4:
        return Endpoint(IPv4Address(packed), number(fields, port, _U16))
    if len(packed) == 16:
        return Endpoint(IPv6Address(packed), number(fields, port, _U16))
    raise DecodeError(f"{address.decode()}: found {len(packed)} bytes, want 4 or 16")


def _read_versions(fields: Fields) -> Versions:
    """Read six versions. Fewer are none, as memberlist has it."""
    told = raw(fields, b"Vsn", _VERSIONS_LIMIT)
    return Versions(*told[:6]) if len(told) >= 6 else _NO_VERSIONS


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
"""How messages begin that come over streams."""
