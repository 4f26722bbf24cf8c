"""Mirror of a kernel table, kept by rtnetlink events and complete dumps in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from metallb_py.protocols.rtnetlink import DumpDone, Message

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Change(NamedTuple, Generic[K, V]):
    """One entry of a message; ``value`` is None if the entry was removed.

    ``sequence`` is the number of the list that the message is a part of, 0 for an event.
    """

    key: K
    value: V | None
    sequence: int = 0


class KernelTable(ABC, Generic[K, V]):
    """The current entries. A complete list removes the entries that it does not contain."""

    __slots__ = ("_begun", "_seen", "_sequence", "entries", "listed")

    def __init__(self) -> None:
        self.entries: dict[K, V] = {}
        self.listed = False
        """Whether a complete list was read since the start."""
        self._sequence = 0  # of the list that was requested last
        self._begun = 0  # of the list that is being received
        self._seen: set[K] = set()

    @abstractmethod
    def read(self, message: Message) -> Change[K, V] | None:
        """Return the change of an entry that a message contains; None for any other message."""

    def list_requested(self) -> int:
        """Begin a complete list; return the sequence number for the request.

        Entries that neither the list nor an event between its parts contains are removed at its
        end.
        """
        self._sequence += 1
        self._seen.clear()
        return self._sequence

    def receive(self, messages: Iterable[Message]) -> bool:
        """Apply messages of the kernel. Return False if a list is unusable and must be repeated."""
        complete = True
        for message in messages:
            if isinstance(message, DumpDone):
                complete &= self._list_ended(message)
            elif (change := self.read(message)) is not None:
                self._apply(change)
        return complete

    def _apply(self, change: Change[K, V]) -> None:
        if change.sequence not in (0, self._begun):
            # Events that were queued before the list began may be outdated.
            self._begun = change.sequence
            self._seen.clear()
        if change.value is None:
            self.entries.pop(change.key, None)
            self._seen.discard(change.key)
        else:
            self.entries[change.key] = change.value
            self._seen.add(change.key)

    def _list_ended(self, end: DumpDone) -> bool:
        # The end of an earlier list: the kernel refused the latest request while it made that one.
        if end.sequence != self._sequence or not end.complete:
            return False
        for key in self.entries.keys() - self._seen:
            del self.entries[key]
        self.listed = True
        return True
