"""Output of the commands, escaped: the only module here that prints.

Lines quote text of cluster objects, which other users write; unescaped, it could control an
operator's terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping

from metallb_py.printable import printable


def show(lines: Iterable[object]) -> None:
    """Print each item on one line of standard output, with unprintable characters escaped."""
    for line in lines:
        print(_encodable(printable(str(line))))


def show_colored(lines: Iterable[str]) -> None:
    """Print lines that the caller escaped before adding colors."""
    for line in lines:
        print(line)


def show_json(value: Mapping[str, object]) -> None:
    """Print a value as JSON, in ASCII."""
    print(json.dumps(value, indent=2))


def print_error(problem: object) -> None:
    """Print an error on one line of standard error, with unprintable characters escaped."""
    print(printable(str(problem)), file=sys.stderr)


def _encodable(text: str) -> str:
    """Escape the characters that the terminal's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
