"""Collector of a configuration's problems; apart from them, because it imports the budget."""

from __future__ import annotations

from metallb_py.config.compile.budget import Budget
from metallb_py.config.problems import ConfigError, Problem, one_line

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
