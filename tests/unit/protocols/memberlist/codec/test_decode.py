"""Decoding of message fields: defaults, accepted forms and errors."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import msgpack
import pytest

from metallb_py.protocols.memberlist.codec.codec import decode
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Alive,
    Endpoint,
    Kind,
    Nack,
    Ping,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError

V4 = Endpoint(IPv4Address("192.0.2.1"), 7946)
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
