"""Randomness as an argument of the memberlist machine, so that a seed gives the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Random(Protocol):
    """A source of randomness, such as ``random.Random``."""

    def random(self) -> float:
        """Return a number in [0, 1)."""

    def shuffle(self, x: list[T]) -> None:
        """Shuffle a list in place."""


def sample(rng: Random, count: int, among: Sequence[T], fits: Callable[[T], bool]) -> tuple[T, ...]:
    """Return up to ``count`` different random elements that fit.

    If few are wanted of many, only some elements are tried, so it may (rarely) return fewer than
    exist.
    """
    size = len(among)
    if size <= 3 * count:
        found = [element for element in among if fits(element)]
        rng.shuffle(found)
        return tuple(found[:count])
    drawn: dict[int, T] = {}
    for _ in range(3 * count + 8):
        index = int(rng.random() * size)
        if index not in drawn and fits(among[index]):
            drawn[index] = among[index]
            if len(drawn) == count:
                break
    return tuple(drawn.values())
