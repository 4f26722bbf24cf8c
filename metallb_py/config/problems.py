"""What can be wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metallb_py.errors import MetallbError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    ``line`` counts from 1 in the text that was read. ``path`` leads to the place, with list
    indices from 0, as in ``address-pools[1] "blue"``; it is empty for the text as a whole. Inside
    the message MetalLB's own wording is kept, whose ``#2`` counts from 1.
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


class Findings:
    """Collects problems on the way through a configuration."""

    __slots__ = ("_problems",)

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._problems = list(problems)

    def add(self, line: int, path: str, message: str) -> None:
        """Take note of a problem."""
        self._problems.append(Problem(line, path, message))

    def raise_if_any(self) -> None:
        """Raise ConfigError if there were problems."""
        if self._problems:
            raise ConfigError(tuple(self._problems))
