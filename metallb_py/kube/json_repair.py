"""Repairs of JSON that the decoder refuses although every other reader of it takes it.

The decoder gives up where values are nested about a thousand deep, even in a field that it skips;
anybody who may write an object may write such a field (``metadata.managedFields``). It refuses
unpaired surrogates, which Go's decoder replaces by U+FFFD, and text that is no UTF-8, likewise.
None of this checks the syntax: that is the decoder's part, after the repair. The cost is linear.
"""

from __future__ import annotations

import re

DEPTH = 64
"""How deep values may be nested. What the daemons read of an object ends at 7."""

_FLAT = rb'(?:[^"\[\]{}]*+"[^"\\]*+(?:\\.[^"\\]*+)*+")*+[^"\[\]{}]*+'
# Everything up to the next run of brackets, but for strings and for what has no brackets inside.
# Possessive quantifiers (*+) never give back what they took, so the cost is linear.
_NEXT_BRACKETS = re.compile(
    rb"(?:%s(?:\[%s\]|\{%s\}))*+%s([\[{]++|[\]}]++)" % (_FLAT, _FLAT, _FLAT, _FLAT), re.DOTALL
)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<unpaired>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_REPLACEMENT = rb"\ufffd"


def repair(data: bytes, depth: int = DEPTH) -> bytes:
    """Replace by null what is nested deeper than ``depth``, and by U+FFFD what is no text."""
    return _readable(prune(data, depth))


def prune(data: bytes, depth: int = DEPTH) -> bytes:
    """Replace every object and array that is nested deeper than ``depth`` by null.

    One that holds neither objects nor arrays may stay, one level deeper.
    """
    kept: list[bytes] = []
    done = level = position = 0
    cut = -1  # where what is nested too deep begins
    while match := _NEXT_BRACKETS.match(data, position):
        start, position = match.span(1)
        count = position - start
        if data[start] in b"[{":
            if level <= depth < level + count:
                cut = start + depth - level
            level += count
        else:
            if cut >= 0 and level - count <= depth:
                end = start + level - depth
                kept += (data[done:cut], b"null")
                done, cut = end, -1
            level = max(0, level - count)
    return b"".join((*kept, data[done:])) if kept else data


def _readable(data: bytes) -> bytes:
    """Return it in UTF-8, without unpaired surrogates."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode(errors="replace").encode()
    if rb"\ud" in data or rb"\uD" in data:
        data = _ESCAPE.sub(lambda m: _REPLACEMENT if m["unpaired"] else m[0], data)
    return data
