"""A table that follows one of the kernel's, from events and complete lists in any mixture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from metallb_py.protocols.rtnetlink import DumpDone, Message

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Change(NamedTuple, Generic[K, V]):
    """What a message says of one entry; the value is None where there is none.

    ``sequence`` is the number of the list that this is a part of, 0 for an event.
    """

    key: K
    value: V | None
    sequence: int = 0


class KernelTable(ABC, Generic[K, V]):
    """The entries that there are. What a complete list does not name is gone."""

    __slots__ = ("_begun", "_seen", "_sequence", "entries", "listed")

    def __init__(self) -> None:
        self.entries: dict[K, V] = {}
        self.listed = False
        """Whether a complete list was read since the start."""
        self._sequence = 0  # of the list that was asked for last
        self._begun = 0  # of the list that is being read
        self._seen: set[K] = set()

    @abstractmethod
    def read(self, message: Message) -> Change[K, V] | None:
        """Return what a message says of an entry; None where it is about something else."""

    def list_requested(self) -> int:
        """A complete list will be asked for; returns the number to do it with.

        What is named neither by it nor by an event between its parts is gone.
        """
        self._sequence += 1
        self._seen.clear()
        return self._sequence

    def receive(self, messages: Iterable[Message]) -> bool:
        """Apply what the kernel said. Returns False where a list is of no use: ask again."""
        complete = True
        for message in messages:
            if isinstance(message, DumpDone):
                complete &= self._list_ended(message)
            elif (change := self.read(message)) is not None:
                self._apply(change)
        return complete

    def _apply(self, change: Change[K, V]) -> None:
        if change.sequence not in (0, self._begun):
            # Events that waited before the list began may be outdated.
            self._begun = change.sequence
            self._seen.clear()
        if change.value is None:
            self.entries.pop(change.key, None)
            self._seen.discard(change.key)
        else:
            self.entries[change.key] = change.value
            self._seen.add(change.key)

    def _list_ended(self, end: DumpDone) -> bool:
        # The end of an earlier list: while that was made, the kernel refused to make ours.
        if end.sequence != self._sequence or not end.complete:
            return False
        for key in self.entries.keys() - self._seen:
            del self.entries[key]
        self.listed = True
        return True
