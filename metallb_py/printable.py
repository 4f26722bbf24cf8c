"""Text of cluster objects, packets and errors, made fit for a terminal, a log line or an Event.

What is not printable (control and format characters, C0 and C1, bidirectional controls, line and
paragraph separators, byte order marks, lone surrogates) is written as an escape: raw, it could
move a terminal's cursor, reverse what a reader sees, or break one line into two. The rule is that
of Python's ``str.isprintable``: the Unicode categories C* and Z*, but for the space.
"""

from __future__ import annotations

import re
from typing import Final

FIELD_LIMIT: Final = 4096
"""Characters of one field of a log line."""

# Every character that may be unprintable: an ASCII control, or anything beyond ASCII.
_SUSPECT: Final = re.compile(r"[\x00-\x1f]|[^\x00-\x7e]")


def printable(text: str) -> str:
    r"""Return a text on one line, with ``\n``, ``\x1b`` or ``\u202e`` for what is not printable.

    It is for people; a backslash that was in the text stays as it is.
    """
    return text if text.isprintable() else _SUSPECT.sub(_for_people, text)


def printable_json(line: str) -> str:
    """Return a JSON text that decodes to the same, with escapes for what is not printable.

    ASCII controls may not be left in it: ``json.dumps`` escapes those, but for DEL.
    """
    return line if line.isprintable() else _SUSPECT.sub(_for_json, line)


def shortened(text: str, limit: int = FIELD_LIMIT) -> str:
    """Return a text of at most about so many characters, with the number of those left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}... ({len(text) - limit} more characters)"


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
