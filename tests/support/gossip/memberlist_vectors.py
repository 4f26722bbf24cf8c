"""Captures of hashicorp/memberlist's packets and streams, as decoded by Go's libraries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import cast

from metallb_py.protocols.memberlist.codec.messages import (
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
    State,
    Suspect,
    User,
    Versions,
)

FILE = Path(__file__).parents[2] / "vectors" / "memberlist.json"

Fields = Mapping[str, object]


@dataclass(frozen=True)
class Capture:
    """Captured bytes of a member, and their content."""

    scenario: str
    """Name of the scenario of the capture."""
    label: str
    """Label of the cluster; empty for none."""
    key: bytes
    """Encryption key; empty for none."""
    way: str
    """``packet``, ``stream``, or a reply over a stream."""
    layers: tuple[str, ...]
    """Layers of the encoding, from the outermost."""
    messages: tuple[Message, ...]
    """Decoded messages."""
    data: bytes
    """The bytes as sent."""

    def __str__(self) -> str:
        kinds = "+".join(type(message).__name__ for message in self.messages)
        return " ".join((self.scenario, self.way, *self.layers, kinds))


def captures() -> list[Capture]:
    """Return all captures."""
    vectors = json.loads(FILE.read_text())
    return [
        Capture(
            each["scenario"],
            vectors["scenarios"][each["scenario"]]["label"],
            bytes.fromhex(vectors["scenarios"][each["scenario"]]["key"]),
            each["way"],
            tuple(each["layers"]),
            tuple(_message(fields) for fields in each["messages"]),
            bytes.fromhex(each["hex"]),
        )
        for each in vectors["captures"]
    ]


def lzw() -> Iterator[dict[str, str | int]]:
    """Yield inputs and outputs of Go's compress/lzw."""
    yield from json.loads(FILE.read_text())["lzw"]


def _raw(fields: Fields, name: str) -> bytes:
    return bytes.fromhex(cast("str | None", fields.get(name)) or "")


def _text(fields: Fields, name: str) -> str:
    return _raw(fields, name).decode()


def _number(fields: Fields, name: str) -> int:
    return cast("int", fields.get(name, 0))


def _endpoint(fields: Fields, address: str, port: str) -> Endpoint:
    found = ip_address(_raw(fields, address))
    return Endpoint(found, _number(fields, port))


def _source(fields: Fields) -> Endpoint | None:
    return _endpoint(fields, "SourceAddr", "SourcePort") if "SourceAddr" in fields else None


def _message(fields: Fields) -> Message:
    sequence, node = _number(fields, "SeqNo"), _text(fields, "Node")
    incarnation, reporter = _number(fields, "Incarnation"), _text(fields, "From")
    match fields["kind"]:
        case 0:
            return Ping(sequence, node, _source(fields), _text(fields, "SourceNode"))
        case 1:
            target, nack = _endpoint(fields, "Target", "Port"), fields["Nack"] is True
            source = _source(fields)
            return IndirectPing(sequence, target, node, nack, source, _text(fields, "SourceNode"))
        case 2:
            return Ack(sequence, _raw(fields, "Payload"))
        case 3:
            return Suspect(incarnation, node, reporter)
        case 4:
            versions = Versions(*_raw(fields, "Vsn"))
            endpoint = _endpoint(fields, "Addr", "Port")
            return Alive(incarnation, node, endpoint, _raw(fields, "Meta"), versions)
        case 5:
            return Dead(incarnation, node, reporter)
        case 6:
            states = tuple(_state(each) for each in cast("list[Fields]", fields["states"]))
            return PushPull(states, fields["Join"] is True, _raw(fields, "rest"))
        case 8:
            return User(_raw(fields, "rest" if "rest" in fields else "Payload"))
        case 11:
            return Nack(sequence)
    raise AssertionError(fields)


def _state(fields: Fields) -> NodeState:
    return NodeState(
        _text(fields, "Name"),
        _endpoint(fields, "Addr", "Port"),
        _number(fields, "Incarnation"),
        State(_number(fields, "State")),
        _raw(fields, "Meta"),
        Versions(*_raw(fields, "Vsn")),
    )
