"""Encoding of messages: a type byte, then a map of named fields (``net.go``).

Fields are written in the order of their names, as Go does.

A user message has its payload instead of a map. A push-pull's map is followed by one map for each
member, and by the application's state.
"""

from __future__ import annotations

from typing import assert_never

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    Ack,
    Alive,
    Dead,
    Endpoint,
    IndirectPing,
    Message,
    Nack,
    NodeState,
    Ping,
    PushPull,
    RemoteError,
    Suspect,
    User,
)
from metallb_py.protocols.memberlist.codec.msgpack_fields import pack


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
