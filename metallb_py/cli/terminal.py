"""What the commands print: lines that hold no more than printable characters.

They quote cluster objects, which others write, and the reader is an operator's terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping

from metallb_py.printable import printable


def show(lines: Iterable[object]) -> None:
    """Print each of these on one line of standard output."""
    for line in lines:
        print(_encodable(printable(str(line))))


def show_colored(lines: Iterable[str]) -> None:
    """Print lines that are printable but for the colors in them."""
    for line in lines:
        print(line)


def show_json(value: Mapping[str, object]) -> None:
    """Print JSON, which is ASCII."""
    print(json.dumps(value, indent=2))


def complain(problem: object) -> None:
    """Print on standard error why a command can't do its work."""
    print(printable(str(problem)), file=sys.stderr)


def _encodable(text: str) -> str:
    """Escape what the terminal's encoding does not have."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
