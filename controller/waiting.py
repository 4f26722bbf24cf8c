"""Services that wait for something, so that a release tries few of them, however many wait.

Those that wait for the same form a group: if its oldest gets nothing, none of it does.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator

Turn = tuple[str, str]
"""When a service was created, and its key: the order in which services are served."""


class WaitingServices:
    """Service keys with what each of them waits for."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Hashable, Turn]] = {}
        self._groups: dict[Hashable, list[Turn]] = {}

    def __len__(self) -> int:
        """How many services wait."""
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the services that wait, in no certain order."""
        return iter(tuple(self._entries))

    def put(self, key: str, created: str, awaits: Hashable) -> None:
        """Have a service wait, in place of what it waited for."""
        entry = (awaits, (created, key))
        if self._entries.get(key) == entry:
            return
        self.remove(key)
        self._entries[key] = entry
        insort(self._groups.setdefault(awaits, []), entry[1])

    def remove(self, key: str) -> None:
        """Have a service wait no longer, if it does."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        awaits, turn = entry
        group = self._groups[awaits]
        del group[bisect_left(group, turn)]
        if not group:
            del self._groups[awaits]

    def head(self, awaits: Hashable) -> Turn | None:
        """Return the oldest of a group."""
        group = self._groups.get(awaits)
        return group[0] if group else None

    def heads(self) -> list[tuple[Turn, Hashable]]:
        """Return the oldest of each group, and what the group waits for."""
        return [(group[0], awaits) for awaits, group in self._groups.items()]
