"""Text for terminals, logs and Events: escaped, and of bounded length.

It may come from cluster objects, packets and errors.

An unprintable character (control and format characters, C0 and C1, bidirectional controls, line and
paragraph separators, byte order marks, lone surrogates) is written as an escape. Unescaped, it
could move a terminal's cursor, reverse the displayed text, or break one line into two. The rule is
that of Python's ``str.isprintable``: the Unicode categories C* and Z*, except the space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

FIELD_LIMIT: Final = 4096
"""Maximum number of characters in one field of a log line."""

# Every character that may be unprintable: an ASCII control, or anything beyond ASCII.
_SUSPECT: Final = re.compile(r"[\x00-\x1f]|[^\x00-\x7e]")


def printable(text: str) -> str:
    r"""Return the text on one line, with escapes (``\n``, ``\x1b``, ``\u202e``) where unprintable.

    The result is for human readers and can't be decoded: backslashes of the text are unchanged.
    """
    return text if text.isprintable() else _SUSPECT.sub(_for_people, text)


def printable_json(line: str) -> str:
    """Return an equivalent JSON text, with escapes for unprintable characters.

    ``line`` must contain no ASCII control except DEL; ``json.dumps`` escapes all the others.
    """
    return line if line.isprintable() else _SUSPECT.sub(_for_json, line)


def shortened(text: str, limit: int = FIELD_LIMIT) -> str:
    """Return the first ``limit`` characters of a text and the number of those left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}... ({len(text) - limit} more characters)"


def listed(names: Sequence[str], limit: int, noun: str = "") -> str:
    """Return the first ``limit`` names and the number of the others: ``a, b and 3 more``."""
    return " ".join([", ".join(names[:limit]), *and_more(len(names) - limit, noun)])


def and_more(left: int, noun: str = "") -> tuple[str, ...]:
    """Return the last entry of a list that leaves some out (``and 3 more``); none if none is."""
    return (f"and {left} more {noun}".rstrip(),) if left > 0 else ()


def _for_people(match: re.Match[str]) -> str:
    character = match.group()
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def _for_json(match: re.Match[str]) -> str:
    character = match.group()
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
