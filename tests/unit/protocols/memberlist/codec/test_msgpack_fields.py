"""Msgpack maps of named fields, read whole and incrementally."""

from __future__ import annotations

import gc

import pytest

from metallb_py.protocols.memberlist.codec.msgpack_fields import (
    DecodeError,
    Fields,
    MapReader,
    OversizedError,
    pack,
    read,
)


def copy(fields: Fields) -> dict[bytes, object]:
    return dict(fields)


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (31, b"\xbf"),
        (32, b"\xda\x00\x20"),
        (255, b"\xda\x00\xff"),
        (65536, b"\xdb\x00\x01\x00\x00"),
    ],
)
def test_strings_and_bytes_are_written_in_the_raw_format_before_2013(
    length: int, head: bytes
) -> None:
    assert pack({"a": bytes(length)}) == b"\x81\xa1a" + head + bytes(length)
    assert pack({"a": "x" * length}) == b"\x81\xa1a" + head + b"x" * length


def test_map_is_read() -> None:
    assert read(pack({"a": 1, "b": "x"}), dict, copy) == {b"a": 1, b"b": b"x"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x05",
        b"\x80\x80",  # trailing bytes
        b"\x81\xa1a",  # a missing value
        b"\x81\x01\x01",  # a number as a name
        b"\x81\xa1a\xc1",  # an invalid type
        b"\x81\xa1a\x91\x01",  # an array
        b"\x81\xa1a\xd4\x01\x01",  # an extension
        b"\x81\xa1a\xc7\x00\xff",  # a time without its bytes
        b"\xdf\xff\xff\xff\xff",  # a map of four thousand million fields
        b"\x81\xa1a\xc6\xff\xff\xff\xff",  # bytes of that length
        b"\x81\xa1a" * 2000 + b"\x80",  # deep nesting
    ],
)
def test_anything_but_a_map_of_plain_fields_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read(data, dict, copy)


def test_maps_are_read_incrementally() -> None:
    reader = MapReader(100)
    data = pack({"a": 1}) + pack({"b": b"xyz"}) + b"rest"
    found = []
    for byte in data[:-4]:
        reader.feed(bytes((byte,)))
        if (fields := reader.next(dict, copy)) is not None:
            found.append(fields)
    assert found == [{b"a": 1}, {b"b": b"xyz"}]
    reader.feed(b"rest")
    assert (reader.take(2), reader.take(2), reader.take(2)) == (b"re", b"st", b"")
    assert reader.consumed == len(data)


def test_input_beyond_the_limit_is_an_error() -> None:
    reader = MapReader(100)
    with pytest.raises(OversizedError):
        reader.feed(bytes(101))


@pytest.mark.parametrize("data", [b"\x05", b"\xc1", b"\x91\x01", b"\x81\x01\x01"])
def test_incremental_input_that_is_no_map_is_an_error(data: bytes) -> None:
    reader = MapReader(100)
    reader.feed(data)
    with pytest.raises(DecodeError):
        reader.next(dict, copy)


def test_dropped_reader_leaves_no_reference_cycle() -> None:
    gc.freeze()  # so that a collection looks at the reader alone
    try:
        reader = MapReader(100)
        reader.feed(b"\x81\xa1a")
        assert reader.next(dict, copy) is None
        del reader
        assert gc.collect() == 0
    finally:
        gc.unfreeze()
