"""Problems of a configuration: their collection, and a limit of the work of finding them.

A leaf, which every other module of ``config`` may import.
"""

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


MAX_STEPS = 5_000_000
"""Several times the steps of the largest accepted configuration; some seconds of CPU time."""


class Budget:
    """Counter of steps with a limit. One thread spends steps; another one may cancel."""

    __slots__ = ("_cancelled", "_limit", "_spent")

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._limit = steps
        self._spent = 0
        self._cancelled = False

    @property
    def spent(self) -> int:
        """The number of steps so far."""
        return self._spent

    def spend(self, steps: int = 1) -> None:
        """Count steps. Raises ConfigError beyond the limit, or after the work was cancelled."""
        self._spent += steps
        if self._cancelled:
            raise ConfigError((Problem(1, "", "not read completely: the daemon is stopping"),))
        if self._spent > self._limit:
            raise ConfigError(
                (
                    Problem(
                        1,
                        "",
                        f"the configuration takes more than {self._limit} steps to check: want a "
                        "smaller one",
                    ),
                )
            )

    def renew(self) -> None:
        """Reset the count for another configuration; cancelled work stays cancelled."""
        self._spent = 0

    def cancel(self) -> None:
        """Stop the work at its next step."""
        self._cancelled = True


MAX_PROBLEMS = 1000
"""Problems that are kept: more are of no use, and a crafted text can have millions."""


class Findings:
    """The problems of one configuration, and the budget of steps for checking it."""

    __slots__ = ("_left_out", "_problems", "spend")

    def __init__(self, budget: Budget | None = None) -> None:
        self.spend = (budget or Budget()).spend
        self._problems: set[Problem] = set()
        self._left_out = 0

    def add(self, line: int, path: str, message: str) -> None:
        """Record a problem, on one line of bounded length."""
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.add(Problem(line, one_line(path), one_line(message)))
        else:
            self._left_out += 1

    def raise_if_any(self) -> None:
        """Raise ConfigError if there were problems."""
        if not self._problems:
            return
        problems = sorted(self._problems)
        if self._left_out:
            problems.append(Problem(problems[-1].line, "", f"{self._left_out} more problems"))
        raise ConfigError(tuple(problems))
