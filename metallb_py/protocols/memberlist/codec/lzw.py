"""LZW as in Go's compress/lzw, least significant bit first, with literals of eight bits.

GIF uses this variant, TIFF and PDF another. A code stands for a byte (0 to 255), for clearing the
table (256), for the end (257), or for the bytes of an earlier code with one byte more (258 to
4095). Each code adds one to the table, so both sides can compute the width of the next code: nine
to twelve bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metallb_py.errors import RemoteProtocolError

_CLEAR: Final = 256
_END: Final = 257
_NARROWEST: Final = 9
_WIDEST: Final = 12
_MASKS: Final = tuple((1 << width) - 1 for width in range(_WIDEST + 1))
_LAST: Final = (1 << _WIDEST) - 1
_WORD: Final = 8
_LITERALS: Final = (*(bytes((value,)) for value in range(256)), b"", b"")
"""The bytes of the first codes; CLEAR and END have none."""
_CLEARS: Final = 4
_BETWEEN_CLEARS: Final = 1024
"""An encoder clears its table when that is full, so after 3,838 codes, each of at least one byte;
once more at the start and at the end. Data that clears it more often than once per
``_BETWEEN_CLEARS`` bytes, and ``_CLEARS`` times on top, is rejected: a CLEAR code expands to
nothing, so the limit on the output does not bound the work of reading many of them."""


class LzwError(RemoteProtocolError):
    """These bytes are not valid LZW data."""


class ExpansionError(LzwError):
    """The data expands to more bytes than the limit."""


def compress(data: bytes) -> bytes:
    """Return compressed data, byte for byte as Go's; longer than the input if nothing repeats."""
    out = bytearray()
    bits = count = 0
    newest = _END
    for code in _codes_for(data):
        bits |= code << count
        count += newest.bit_length()
        newest = _END if code == _CLEAR else newest + 1
        if count >= 8 * _WORD:
            out += (bits & 0xFFFFFFFFFFFFFFFF).to_bytes(_WORD, "little")
            bits >>= 8 * _WORD
            count -= 8 * _WORD
    return bytes(out) + bits.to_bytes((count + 7) // 8, "little")


def _codes_for(data: bytes) -> Iterator[int]:
    """Yield the codes for these bytes. The table is cleared just before its last code."""
    yield _CLEAR
    if not data:
        yield _END
        return
    table: dict[int, int] = {}
    newest = _END
    code = data[0]
    for byte in data[1:]:
        longer = code << 8 | byte
        known = table.get(longer)
        if known is not None:
            code = known
            continue
        yield code
        code = byte
        newest += 1
        if newest == _LAST:
            yield _CLEAR
            table.clear()
            newest = _END
        else:
            table[longer] = newest
    yield code
    if newest + 1 == _LAST:
        yield _CLEAR
    yield _END


def decompress(data: bytes, limit: int) -> bytes:
    """Return decompressed data. Raises LzwError; ExpansionError for more than ``limit`` bytes.

    What follows the end is ignored, as in Go. Memory and work are in proportion to ``limit``.
    """
    out = bytearray()
    table = [*_LITERALS]
    last = b""
    clears = 0
    for code in _codes_in(data):
        try:
            found = table[code]
        except IndexError:
            if code != len(table) or not last:
                raise LzwError(f"found code {code}, want less than {len(table)}") from None
            found = last + last[:1]
        if not found:
            clears += 1
            if clears > _CLEARS + len(out) // _BETWEEN_CLEARS:
                raise LzwError(f"found {clears} CLEAR codes for {len(out)} bytes")
            del table[len(_LITERALS) :]
        elif last and len(table) <= _LAST:
            table.append(last + found[:1])
        last = found
        out += found
        if len(out) > limit:
            raise ExpansionError(f"found more than {limit} bytes")
    return bytes(out)


def _codes_in(data: bytes) -> Iterator[int]:
    """Yield the codes before END. Raises LzwError if END is missing."""
    bits = count = position = 0
    newest, width = _END, _NARROWEST
    while True:
        if count < width:
            word = data[position : position + _WORD]
            position += _WORD
            bits |= int.from_bytes(word, "little") << count
            count += 8 * len(word)
            if count < width:
                raise LzwError(f"ends early, after {len(data)} bytes")
        code = bits & _MASKS[width]
        bits >>= width
        count -= width
        newest += 1
        if newest >> width and width < _WIDEST:
            width += 1
        if code == _CLEAR:
            newest, width = _END, _NARROWEST
        elif code == _END:
            return
        yield code
