"""What can be wrong with a configuration, and where."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.errors import MetallbError
from metallb_py.printable import printable

_HEAD, _TAIL = 400, 200  # what is shown of a long message: its start, and what was wanted


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    ``line`` counts from 1 in the text that was read. ``path`` leads to the place, with list
    indices from 0, as in ``address-pools[1] "blue".addresses[0]``; it is empty for the text as a
    whole. Inside the message MetalLB's own wording is kept, whose ``#2`` counts from 1. Neither
    ever breaks a line.
    """

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}" if self.path else f"line {self.line}"
        return f"{where}: {self.message}"


class ConfigError(MetallbError):
    """The configuration can't be used. ``problems`` holds every one that was found, by line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def one_line(text: str) -> str:
    """Return a text with its middle left out where it is long, and line breaks and such escaped."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} ... {text[-_TAIL:]}"
    return printable(text)
