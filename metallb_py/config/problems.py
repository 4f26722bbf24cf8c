"""Problems of a configuration and their places; a leaf that every other module here imports."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.errors import MetallbError
from metallb_py.printable import printable

_HEAD, _TAIL = 400, 200  # characters shown of a long message: the place, and what was wanted


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem of a configuration.

    ``line`` counts from 1 in the text that was read. ``path`` is the place, with list indices from
    0, as in ``address-pools[1] "blue".addresses[0]``; it is empty for the text as a whole. The
    message keeps MetalLB's own wording, in which ``#2`` counts from 1. Neither contains a line
    break.
    """

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}" if self.path else f"line {self.line}"
        return f"{where}: {self.message}"


class ConfigError(MetallbError):
    """The configuration is invalid. ``problems`` contains all that were found, by line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def one_line(text: str) -> str:
    """Return the text with unprintable characters escaped, and the middle of a long one cut out."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} ... {text[-_TAIL:]}"
    return printable(text)
