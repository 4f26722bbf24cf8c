"""Compound messages."""

from __future__ import annotations

import pytest

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec.compound import join, split
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError

PARTS = [b"abc", b"", b"defgh"]
DATA = b"\x07\x03\x00\x03\x00\x00\x00\x05abcdefgh"


def test_compound_lists_the_lengths_of_its_parts() -> None:
    assert join(PARTS) == DATA
    assert split(DATA) == (PARTS, 0)


@pytest.mark.parametrize(
    ("length", "parts", "flaws"), [(15, 2, 1), (11, 2, 1), (10, 0, 3), (8, 0, 3)]
)
def test_complete_parts_of_a_truncated_compound_are_used(
    length: int, parts: int, flaws: int
) -> None:
    assert split(DATA[:length]) == (PARTS[:parts], flaws)


def test_trailing_bytes_of_a_compound_are_one_flaw() -> None:
    assert split(DATA + b"xyz") == (PARTS, 1)


@pytest.mark.parametrize("data", [DATA[:7], DATA[:1], b"\x07\x00", b"\x07\xff" + bytes(509)])
def test_compound_without_all_lengths_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        split(data)


@pytest.mark.parametrize("parts", [[], [b"x"] * 256, [b"x" * 65_536]], ids=["none", "many", "long"])
def test_parts_that_a_compound_cannot_hold_are_a_local_error(parts: list[bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        join(parts)


def test_compound_holds_255_parts_of_any_length() -> None:
    parts = [b"x" * 65_535, *([b"y"] * 254)]
    assert split(join(parts)) == (parts, 0)
