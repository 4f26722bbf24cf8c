"""Randomness as an argument: what the machine draws, so that a seed gives the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Chance(Protocol):
    """A source of randomness; ``random.Random`` is one."""

    def random(self) -> float:
        """Return a number from 0 up to, but not including, 1."""

    def shuffle(self, x: list[T]) -> None:
        """Put a list into a random order."""


def pick(
    chance: Chance, count: int, among: Sequence[T], fits: Callable[[T], bool]
) -> tuple[T, ...]:
    """Return up to so many different elements that fit.

    Where few are wanted of many, it does not look at all of them; so it may then return fewer than
    there are, seldom.
    """
    size = len(among)
    if size <= 3 * count:
        found = [element for element in among if fits(element)]
        chance.shuffle(found)
        return tuple(found[:count])
    drawn: dict[int, T] = {}
    for _ in range(3 * count + 8):
        index = int(chance.random() * size)
        if index not in drawn and fits(among[index]):
            drawn[index] = among[index]
            if len(drawn) == count:
                break
    return tuple(drawn.values())
