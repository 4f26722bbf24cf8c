"""Decoding of maps of fields into messages. Every value is checked.

Each function raises DecodeError.
"""

from __future__ import annotations

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
    Nack,
    NodeState,
    Ping,
    RemoteError,
    State,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.codec.msgpack_fields import (
    DecodeError,
    Fields,
    flag,
    number,
    raw,
    text,
)

FIELDS_LIMIT: Final = 4096
"""Most bytes of a map of fields in a datagram. memberlist's own stay under 1,200."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_VERSIONS_LIMIT: Final = 16
_U16: Final = 0xFFFF
_U32: Final = 0xFFFFFFFF
_NO_VERSIONS: Final = Versions(0, 0, 0, 0, 0, 0)
_STATES: Final = tuple(State)


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


def read_ping(fields: Fields) -> Ping:
    return Ping(
        number(fields, b"SeqNo", _U32),
        text(fields, b"Node", NAME_LIMIT),
        _read_source(fields),
        text(fields, b"SourceNode", NAME_LIMIT),
    )


def read_indirect_ping(fields: Fields) -> IndirectPing:
    return IndirectPing(
        number(fields, b"SeqNo", _U32),
        _read_endpoint(fields, b"Target", b"Port"),
        text(fields, b"Node", NAME_LIMIT),
        flag(fields, b"Nack"),
        _read_source(fields),
        text(fields, b"SourceNode", NAME_LIMIT),
    )


def read_ack(fields: Fields) -> Ack:
    return Ack(number(fields, b"SeqNo", _U32), raw(fields, b"Payload", FIELDS_LIMIT))


def read_nack(fields: Fields) -> Nack:
    return Nack(number(fields, b"SeqNo", _U32))


def read_suspect(fields: Fields) -> Suspect:
    return Suspect(
        number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        text(fields, b"From", NAME_LIMIT),
    )


def read_dead(fields: Fields) -> Dead:
    return Dead(
        number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        text(fields, b"From", NAME_LIMIT),
    )


def read_alive(fields: Fields) -> Alive:
    return Alive(
        number(fields, b"Incarnation", _U32),
        _read_name(fields, b"Node"),
        _read_endpoint(fields, b"Addr", b"Port"),
        raw(fields, b"Meta", META_LIMIT),
        _read_versions(fields),
    )


def read_state(fields: Fields) -> NodeState:
    return NodeState(
        _read_name(fields, b"Name"),
        _read_endpoint(fields, b"Addr", b"Port"),
        number(fields, b"Incarnation", _U32),
        _STATES[number(fields, b"State", len(_STATES) - 1)],
        raw(fields, b"Meta", META_LIMIT),
        _read_versions(fields),
    )


def read_error(fields: Fields) -> RemoteError:
    return RemoteError(raw(fields, b"Error", FIELDS_LIMIT).decode("utf-8", "replace"))


def read_push_pull(fields: Fields) -> Head:
    nodes, rest = number(fields, b"Nodes", _U32), number(fields, b"UserStateLen", _U32)
    return Head(Kind.PUSH_PULL, nodes, rest, flag(fields, b"Join"))


def read_user(fields: Fields) -> Head:
    return Head(Kind.USER, 0, number(fields, b"UserMsgLen", _U32))


def read_compressed(fields: Fields) -> Compressed:
    number(fields, b"Algo", 0)
    return Compressed(raw(fields, b"Buf", _U32))


def _read_name(fields: Fields, field: bytes) -> str:
    name = text(fields, field, NAME_LIMIT)
    if not name:
        raise DecodeError(f"{field.decode()}: found nothing, want the name of a member")
    return name


def _read_source(fields: Fields) -> Endpoint | None:
    """Read the source that wants the answer; None unless there is both an address and a port."""
    if not number(fields, b"SourcePort", _U16) or not fields.get(b"SourceAddr"):
        return None
    return _read_endpoint(fields, b"SourceAddr", b"SourcePort")


def _read_endpoint(fields: Fields, address: bytes, port: bytes) -> Endpoint:
    """Read an address of either family, and a port, which old members may omit (0)."""
    packed = raw(fields, address, 16)
    if len(packed) == 16 and packed.startswith(_MAPPED):
        packed = packed[12:]
    if len(packed) == 4:
        return Endpoint(IPv4Address(packed), number(fields, port, _U16))
    if len(packed) == 16:
        return Endpoint(IPv6Address(packed), number(fields, port, _U16))
    raise DecodeError(f"{address.decode()}: found {len(packed)} bytes, want 4 or 16")


def _read_versions(fields: Fields) -> Versions:
    """Read six versions. Fewer count as none, as in memberlist."""
    found = raw(fields, b"Vsn", _VERSIONS_LIMIT)
    return Versions(*found[:6]) if len(found) >= 6 else _NO_VERSIONS
