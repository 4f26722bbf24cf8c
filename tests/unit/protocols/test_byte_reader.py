from __future__ import annotations

import pytest

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.byte_reader import Reader, TruncatedError


def test_fields_are_read_from_left_to_right_in_network_order() -> None:
    reader = Reader(b"\x01\x02\x03\x04\x05\x06\x07rest")

    assert (reader.u8(), reader.u16(), reader.u32()) == (1, 0x0203, 0x04050607)
    assert reader.take(2) == b"re"
    assert reader.remaining == 2
    assert reader.rest() == b"st"
    assert reader.rest() == b""


def test_truncated_field_is_a_remote_error_and_consumes_nothing() -> None:
    reader = Reader(b"\x01\x02\x03")

    with pytest.raises(TruncatedError, match="found 3 bytes, want 4"):
        reader.u32()
    assert issubclass(TruncatedError, RemoteProtocolError)
    assert reader.rest() == b"\x01\x02\x03"
