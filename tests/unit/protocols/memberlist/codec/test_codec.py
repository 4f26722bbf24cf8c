"""Encoding and decoding of messages."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import msgpack
import pytest

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec.codec import MEMBERS_LIMIT, MessageReader, decode, encode
from metallb_py.protocols.memberlist.codec.decode import FIELDS_LIMIT
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
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError, OversizedError

V4 = Endpoint(IPv4Address("192.0.2.1"), 7946)
V6 = Endpoint(IPv6Address("2001:db8::1"), 7947)
MAPPED = IPv6Address("::ffff:192.0.2.1").packed
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


def fields(kind: Kind, **values: object) -> bytes:
    """Encode fields that the encoder would not produce."""
    return bytes((kind,)) + msgpack.packb(values)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_encoded_message_decodes_to_itself(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_truncated_or_extended_message_is_an_error(message: Message) -> None:
    if isinstance(message, User):
        return
    data = encode(message)
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            decode(data[:length])
    with pytest.raises(DecodeError):
        decode(data + b"\xc0")


@pytest.mark.parametrize("data", [b"", b"\x02\x05", b"\x02\xc0", b"\x02\xa1x", b"\x02\x81\x01\x01"])
def test_anything_but_a_map_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_oversized_map_is_an_error() -> None:
    with pytest.raises(OversizedError):
        decode(fields(Kind.ACK, Payload=bytes(FIELDS_LIMIT)))


@pytest.mark.parametrize(
    "message",
    [
        Alive(1, "a", V4, b"m" * (META_LIMIT + 1)),
        PushPull((NodeState("a", V4, 1, State.DEAD, b"m" * (META_LIMIT + 1)),)),
        Ack(1 << 64),
        Alive(1, "a", V4, versions=Versions(256)),
        Ping(1, "\ud800"),
    ],
    ids=lambda m: type(m).__name__,
)
def test_message_that_cannot_be_encoded_is_a_local_error(message: Message) -> None:
    with pytest.raises(LocalProtocolError, match=type(message).__name__):
        encode(message)


def test_push_pull_that_states_more_than_its_bytes_hold_is_an_error() -> None:
    with pytest.raises(OversizedError, match="found 4294967295 members"):
        decode(fields(Kind.PUSH_PULL, Nodes=0xFFFFFFFF))
    with pytest.raises(OversizedError, match="5000 bytes of state"):
        decode(fields(Kind.PUSH_PULL, UserStateLen=5000))


def test_push_pull_of_more_members_than_the_limit_is_an_error() -> None:
    most = fields(Kind.PUSH_PULL, Nodes=MEMBERS_LIMIT)
    assert feed_all(most, 1000, limit=10_000_000) == [None]
    more = fields(Kind.PUSH_PULL, Nodes=MEMBERS_LIMIT + 1)
    with pytest.raises(OversizedError, match="found 20001 members"):
        feed_all(more, 1000, limit=10_000_000)


def test_nested_maps_in_a_push_pull_are_an_error() -> None:
    head = fields(Kind.PUSH_PULL, Nodes=1)
    with pytest.raises(DecodeError, match="Name: found nothing"):
        decode(head + b"\x81\xa1x\x8f" + b"\xa1y\x80" * 15)


def feed_all(data: bytes, step: int, limit: int = 10_000) -> list[object]:
    """Feed a stream in pieces; return the result of each."""
    reader = MessageReader(data[0], limit)
    return [reader.feed(data[at : at + step]) for at in range(1, len(data), step)]


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "message",
    [MESSAGES[1], MESSAGES[5], MESSAGES[-3], MESSAGES[-1]],
    ids=lambda m: type(m).__name__,
)
def test_stream_message_is_complete_with_its_last_byte(message: Message, step: int) -> None:
    *before, last = feed_all(encode(message), step)
    assert set(before) <= {None}
    assert last == message


def test_user_message_over_a_stream_has_a_length_header() -> None:
    assert feed_all(fields(Kind.USER, UserMsgLen=3) + b"abc", 1)[-2:] == [None, User(b"abc")]


@pytest.mark.parametrize("kind", [Kind.ALIVE, Kind.COMPOUND, Kind.ENCRYPT, 99])
def test_kind_that_is_not_allowed_in_a_stream_is_an_error(kind: int) -> None:
    with pytest.raises(DecodeError, match=f"found kind {kind}"):
        MessageReader(kind, 100)


def test_stream_beyond_its_limit_is_an_error() -> None:
    with pytest.raises(OversizedError):
        feed_all(fields(Kind.ACK, Payload=bytes(2000)), 3000, limit=1000)
    with pytest.raises(OversizedError):
        feed_all(encode(MESSAGES[-1])[:20] + bytes(2000), 3000, limit=1000)
