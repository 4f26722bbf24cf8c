"""Repair of JSON that our decoder rejects although other JSON parsers accept it.

The decoder fails where values are nested about a thousand deep, even in a field that it skips. Any
user that may write an object may write such a field (``metadata.managedFields``). It also rejects
unpaired surrogates and text that is not UTF-8, both of which Go's decoder replaces by U+FFFD. The
syntax is not checked here: the decoder checks it after the repair. The cost is linear.
"""

from __future__ import annotations

import re

DEPTH = 64
"""Depth of nested values that is kept. The fields that the daemons use end at depth 7."""

_FLAT = rb'(?:[^"\[\]{}]*+"[^"\\]*+(?:\\.[^"\\]*+)*+")*+[^"\[\]{}]*+'
# Everything up to the next run of brackets, skipping strings and values without brackets inside.
# Possessive quantifiers (*+) never backtrack, so the cost is linear.
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
    """Replace values nested deeper than ``depth`` by null, and invalid text by U+FFFD."""
    return _readable(prune(data, depth))


def prune(data: bytes, depth: int = DEPTH) -> bytes:
    """Replace every object and array that is nested deeper than ``depth`` by null.

    One without objects or arrays inside may stay, one level deeper.
    """
    kept: list[bytes] = []
    done = level = position = 0
    cut = -1  # start of the value that is nested too deep
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
    """Return the data as valid UTF-8, without unpaired surrogates."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode(errors="replace").encode()
    if rb"\ud" in data or rb"\uD" in data:
        data = _ESCAPE.sub(lambda m: _REPLACEMENT if m["unpaired"] else m[0], data)
    return data
