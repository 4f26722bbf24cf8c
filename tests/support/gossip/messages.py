"""Messages of every kind, with values at their limits."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    NAME_LIMIT,
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
    State,
    Suspect,
    User,
    Versions,
)

V4 = Endpoint(IPv4Address("192.0.2.1"), 7946)
V6 = Endpoint(IPv6Address("2001:db8::1"), 7947)
STATES = (
    NodeState("a", V4, 1, State.ALIVE, b"meta", Versions(1, 5, 2, 2, 5, 4)),
    NodeState("b", V6, 0xFFFFFFFF, State.LEFT),
)
MESSAGES: list[Message] = [
    Ping(0),
    Ping(0xFFFFFFFF, "a", V4, "b"),
    IndirectPing(1, V6, "a"),
    IndirectPing(1, V4, "a", nack=True, source=V6, source_node="b"),
    Ack(7),
    Ack(7, bytes(range(256))),
    Nack(8),
    Suspect(1, "a", "b"),
    Alive(1, "ä" * (NAME_LIMIT // 2), V4, b"m" * META_LIMIT),
    Alive(0x80, "a", V6, versions=Versions(1, 2, 2, 0, 0, 0)),
    Dead(2, "a", "a"),
    User(),
    User(b"\x00\x01"),
    RemoteError("no"),
    PushPull(()),
    PushPull(STATES, join=True, user_state=b"\x82\x00"),
]
