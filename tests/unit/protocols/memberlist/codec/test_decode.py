"""Decoding of messages: defaults, accepted forms and errors, whole and incrementally."""

from __future__ import annotations

from ipaddress import IPv6Address

import msgpack
import pytest
from support.gossip.messages import MESSAGES, V4

from metallb_py.protocols.memberlist.codec.decode import (
    FIELDS_LIMIT,
    MEMBERS_LIMIT,
    MessageReader,
    decode,
)
from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Alive,
    Endpoint,
    IndirectPing,
    Kind,
    Message,
    Nack,
    Ping,
    Suspect,
    User,
    Versions,
)
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError, OversizedError

MAPPED = IPv6Address("::ffff:192.0.2.1").packed


def fields(kind: Kind, **values: object) -> bytes:
    """Encode fields that the encoder would not produce."""
    return bytes((kind,)) + msgpack.packb(values)


def test_absent_fields_and_nil_are_zero() -> None:
    assert decode(fields(Kind.PING)) == Ping(0)
    assert decode(fields(Kind.ACK, SeqNo=None, Payload=None)) == Ack(0)
    assert decode(fields(Kind.SUSPECT, Node="a")) == Suspect(0, "a", "")
    alive = Alive(0, "a", Endpoint(V4.address, 0), versions=Versions(0, 0, 0, 0, 0, 0))
    assert decode(fields(Kind.ALIVE, Node="a", Addr=V4.address.packed)) == alive


def test_nil_is_false_and_no_text() -> None:
    empty = fields(Kind.INDIRECT_PING, Target=MAPPED, Port=None, Node=None, Nack=None)
    assert decode(empty) == IndirectPing(0, Endpoint(V4.address, 0), "")
    assert decode(fields(Kind.INDIRECT_PING, Target=MAPPED)) == decode(empty)


def test_unknown_fields_are_ignored() -> None:
    assert decode(fields(Kind.NACK, SeqNo=3, Shoe=44, Name=b"x")) == Nack(3)


@pytest.mark.parametrize("bins", [False, True])
def test_strings_and_bytes_are_interchangeable(bins: bool) -> None:
    body = {"SeqNo": 1, "Payload": "x" * 40}
    assert decode(b"\x02" + msgpack.packb(body, use_bin_type=bins)) == Ack(1, b"x" * 40)
    body = {"SeqNo": 1, "Node": b"x" * 40}
    assert decode(b"\x00" + msgpack.packb(body, use_bin_type=bins)) == Ping(1, "x" * 40)


def test_ipv4_mapped_address_is_decoded_as_ipv4() -> None:
    alive = decode(fields(Kind.ALIVE, Node="a", Addr=MAPPED, Port=1))
    assert isinstance(alive, Alive)
    assert alive.endpoint == Endpoint(V4.address, 1)


def test_ping_source_needs_an_address_and_a_port() -> None:
    assert decode(fields(Kind.PING, SeqNo=1, SourceAddr=V4.address.packed)) == Ping(1)
    assert decode(fields(Kind.PING, SeqNo=1, SourcePort=7946)) == Ping(1)
    both = fields(Kind.PING, SeqNo=1, SourceAddr=V4.address.packed, SourcePort=7946)
    assert decode(both) == Ping(1, source=V4)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (bytes(5), Versions(0, 0, 0, 0, 0, 0)),
        (bytes(range(6)), Versions(0, 1, 2, 3, 4, 5)),
        (bytes(range(8)), Versions(0, 1, 2, 3, 4, 5)),
    ],
)
def test_versions_of_fewer_than_six_bytes_are_all_zero(data: bytes, want: Versions) -> None:
    alive = decode(fields(Kind.ALIVE, Node="a", Addr=MAPPED, Vsn=data))
    assert isinstance(alive, Alive)
    assert alive.versions == want


WRONG: list[tuple[Kind, dict[str, object], str]] = [
    (Kind.PING, {"SeqNo": 1 << 32}, "SeqNo: found 4294967296, want a number up to 4294967295"),
    (Kind.PING, {"SeqNo": -1}, "SeqNo: found -1"),
    (Kind.PING, {"SeqNo": True}, "SeqNo: found bool"),
    (Kind.PING, {"SeqNo": 1.0}, "SeqNo: found float"),
    (Kind.PING, {"Node": 1}, "Node: found 1, want up to 253 bytes"),
    (Kind.PING, {"Node": "x" * 254}, "Node: found 254 bytes"),
    (Kind.PING, {"Node": b"\xff"}, "Node: want UTF-8"),
    (Kind.PING, {"SourceAddr": b"123", "SourcePort": 1}, "SourceAddr: found 3 bytes, want 4 or 16"),
    (Kind.PING, {"SourcePort": 65536}, "SourcePort: found 65536"),
    (Kind.INDIRECT_PING, {"Node": "a"}, "Target: found 0 bytes, want 4 or 16"),
    (Kind.INDIRECT_PING, {"Target": MAPPED, "Nack": 1}, "Nack: found 1, want a boolean"),
    (Kind.SUSPECT, {"From": "b"}, "Node: found nothing, want the name of a member"),
    (Kind.DEAD, {"From": "b"}, "Node: found nothing"),
    (Kind.ALIVE, {"Node": "a", "Addr": b"1" * 17}, "Addr: found 17 bytes"),
    (Kind.ALIVE, {"Node": "a", "Addr": MAPPED, "Port": 1 << 16}, "Port: found 65536"),
    (Kind.ALIVE, {"Node": "a", "Addr": MAPPED, "Meta": b"m" * 513}, "Meta: found 513 bytes"),
    (Kind.ALIVE, {"Node": "a", "Addr": MAPPED, "Vsn": b"1" * 17}, "Vsn: found 17 bytes"),
    (Kind.ALIVE, {"Node": "a", "Addr": MAPPED, "Vsn": [1, 5, 2, 0, 0, 0]}, "want one map"),
    (Kind.ACK, {"x": {"y": 1, "SeqNo": "z"}}, "SeqNo: found 1 bytes"),
    (Kind.ACK, {str(i): i for i in range(17)}, "want one map of fields"),
    (Kind.ERROR, {"Error": 5}, "Error: found 5"),
    (Kind.COMPOUND, {}, "found kind 7, want a message"),
    (Kind.LABEL, {}, "found kind 244"),
]


@pytest.mark.parametrize(("kind", "values", "problem"), WRONG, ids=lambda v: str(v)[:30])
def test_invalid_field_is_named_in_the_error(
    kind: Kind, values: dict[str, object], problem: str
) -> None:
    with pytest.raises(DecodeError, match=problem):
        decode(fields(kind, **values))


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
