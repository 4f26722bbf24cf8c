"""LZW, compared with compress/lzw of Go."""

from __future__ import annotations

from hashlib import sha256
from typing import SupportsIndex

import pytest
from support.gossip.memberlist_vectors import lzw

from metallb_py.protocols.memberlist.codec.lzw import ExpansionError, LzwError, compress, decompress

VECTORS = list(lzw())
CLEAR, END = 256, 257


def plain_of(vector: dict[str, str | int]) -> bytes:
    """Return the plain data of a vector."""
    length = int(vector.get("length", 0))
    match vector["what"]:
        case "strides":
            return bytes(i * (i // 256 * 2 + 1) & 255 for i in range(length))
        case "chance":
            made, seed = bytearray(), 1
            for _ in range(length):
                seed = (seed * 1664525 + 1013904223) % (1 << 32)
                made.append(seed >> 24 & int(vector["mask"]))
            return bytes(made)
    return bytes.fromhex(str(vector["plain"]))


def packed(*codes: int) -> bytes:
    """Pack codes, also in sequences that no encoder produces."""
    bits, count, newest = 0, 0, END
    for code in codes:
        bits |= code << count
        count += min(newest.bit_length(), 12)
        newest = END if code == CLEAR else newest + 1
    return bits.to_bytes((count + 7) // 8, "little")


@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS if v["what"] != "full"],
    ids=lambda v: f"{v['what']} {v.get('length', '')}",
)
def test_compressed_data_is_identical_to_that_of_go(vector: dict[str, str | int]) -> None:
    plain = plain_of(vector)
    made = compress(plain)
    if "packed" in vector:
        assert made.hex() == vector["packed"]
    else:
        assert sha256(made).hexdigest() == vector["sha256"]
    assert decompress(made, len(plain)) == plain


def test_a_full_table_is_kept_until_it_is_cleared() -> None:
    (vector,) = (v for v in VECTORS if v["what"] == "full")
    data = packed(*(i * 7 & 255 for i in range(5000)), 258, 4095, 300, END)
    assert sha256(data).hexdigest() == vector["packed_sha256"]
    assert sha256(decompress(data, 6000)).hexdigest() == vector["plain_sha256"]


def test_initial_clear_code_is_optional() -> None:
    assert decompress(packed(65, 66, 258, END), 9) == b"ABAB"
    assert decompress(packed(65, CLEAR, CLEAR, 66, END), 9) == b"AB"


def test_bytes_after_the_end_code_are_ignored() -> None:
    assert decompress(compress(b"x") + b"\xff", 1) == b"x"


@pytest.mark.parametrize(
    "data",
    [packed(CLEAR, 258, END), packed(65, 259, END), packed(65, CLEAR, 258, END), packed(300)],
)
def test_undefined_code_is_an_error(data: bytes) -> None:
    with pytest.raises(LzwError, match="found code"):
        decompress(data, 100)


def test_missing_end_code_is_an_error() -> None:
    data = compress(b"TOBEORNOTTOBEORTOBEORNOT")
    for length in range(len(data)):
        with pytest.raises(LzwError, match="ends early"):
            decompress(data[:length], 100)


def test_expansion_beyond_the_limit_is_an_error() -> None:
    data = compress(bytes(1_000_000))
    assert len(data) < 3000
    assert len(decompress(data, 1_000_000)) == 1_000_000
    with pytest.raises(ExpansionError):
        decompress(data, 999_999)
    with pytest.raises(ExpansionError):
        decompress(data, 0)


class Counted(bytes):
    """Bytes that count the reads from them, as the measure of a decoder's work."""

    reads = 0

    def __getitem__(self, key: SupportsIndex | slice) -> int | bytes:
        type(self).reads += 1
        return super().__getitem__(key)


@pytest.mark.parametrize(
    "codes",
    [[CLEAR] * 20_000, [65, CLEAR] * 10_000, [65, 66, CLEAR, CLEAR] * 5_000, [65] * 99 + [CLEAR]],
    ids=["a run", "every second", "pairs", "every hundredth"],
)
def test_superfluous_clear_codes_are_an_error_at_little_work(codes: list[int]) -> None:
    data = Counted(packed(*codes, *codes, END) if len(codes) > 100 else packed(*codes * 200, END))
    Counted.reads = 0
    with pytest.raises(LzwError, match="CLEAR codes for"):
        decompress(data, 1 << 21)
    assert Counted.reads < 100


def test_clear_code_before_the_table_is_full_is_accepted() -> None:
    text = [i & 255 for i in range(1100)]
    codes = [code for _ in range(30) for code in (CLEAR, *text)]
    assert decompress(packed(*codes, CLEAR, END), 40_000) == bytes(text) * 30
