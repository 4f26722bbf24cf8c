"""The free addresses of one prefix, as disjoint intervals in ascending order.

Taking the lowest address, taking a given one and giving one back each cost a binary search, however
large and full the prefix is. An unused IPv6 /64 is one interval.
"""

from __future__ import annotations

from bisect import bisect_right


class FreeList:
    """The free numbers from ``first`` to ``last``, both included."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, first: int, last: int) -> None:
        self._starts = [first]
        self._ends = [last]

    def lowest(self) -> int | None:
        """Return the lowest free number; None if all are taken."""
        return self._starts[0] if self._starts else None

    def __contains__(self, number: int) -> bool:
        """Whether a number is free."""
        index = bisect_right(self._starts, number) - 1
        return index >= 0 and number <= self._ends[index]

    def take(self, number: int) -> None:
        """Mark a free number as taken. Raises KeyError if it is not free."""
        index = bisect_right(self._starts, number) - 1
        if index < 0 or number > self._ends[index]:
            raise KeyError(number)
        start, end = self._starts[index], self._ends[index]
        if start == end:
            del self._starts[index], self._ends[index]
        elif number == start:
            self._starts[index] = number + 1
        elif number == end:
            self._ends[index] = number - 1
        else:
            self._ends[index] = number - 1
            self._starts.insert(index + 1, number + 1)
            self._ends.insert(index + 1, end)

    def give_back(self, number: int) -> None:
        """Mark a taken number as free. Raises KeyError if it is free already."""
        index = bisect_right(self._starts, number)
        joins_left = index > 0 and self._ends[index - 1] >= number - 1
        if joins_left and self._ends[index - 1] >= number:
            raise KeyError(number)
        joins_right = index < len(self._starts) and self._starts[index] == number + 1
        if joins_left and joins_right:
            self._ends[index - 1] = self._ends[index]
            del self._starts[index], self._ends[index]
        elif joins_left:
            self._ends[index - 1] = number
        elif joins_right:
            self._starts[index] = number
        else:
            self._starts.insert(index, number)
            self._ends.insert(index, number)
