"""Limit of the work that one configuration may cause; apart, because a worker cancels it.

It counts steps instead of seconds, so that it is the same on every machine and testable. A step is
one YAML node, one checked value, or one comparison between parts of the configuration.
"""

from __future__ import annotations

from metallb_py.config.problems import ConfigError, Problem

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
