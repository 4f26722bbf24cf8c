"""A limit on the work that one configuration may cause, counted in steps instead of seconds.

A step is one YAML node, one value that is checked, or one comparison between parts of the
configuration. So the limit is the same on every machine, and a test can count.
"""

from __future__ import annotations

from metallb_py.config.problems import ConfigError, Problem

MAX_STEPS = 5_000_000
"""Several times what the largest accepted configuration takes, and some seconds of CPU time."""


class Budget:
    """The steps that are left. One thread spends; another one may cancel."""

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
        """Take steps. Raises ConfigError where none are left, or where the work was cancelled."""
        self._spent += steps
        if self._cancelled:
            raise ConfigError((Problem(1, "", "not read to its end: the daemon is ending"),))
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
        """Give the steps back, for another configuration; cancelled work stays cancelled."""
        self._spent = 0

    def cancel(self) -> None:
        """End the work at its next step."""
        self._cancelled = True
