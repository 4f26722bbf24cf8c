"""Queue of services that wait for addresses, grouped so that few are tried after each change.

Services that wait for the same form a group: if the oldest of it gets nothing, the others do not
either. Most wait for any free address. Some wait for specific addresses, and are tried when one of
those becomes free. A service with a sharing key is also in a second group, which is tried when
something changed under that key: it may be able to share although no address is free.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from controller.requests import SharingTerms
from metallb_py.addresses import IPAddress

K = TypeVar("K")
V = TypeVar("V")

Turn = tuple[str, str]
"""Creation time of a service, as text, and its key: services are served in this order."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """The condition that a service waits for; equal for services that wait for the same."""

    prospects: Hashable
    """Equal for services for which an allocation succeeds or fails alike."""
    addresses: tuple[IPAddress, ...] = ()
    """The only addresses whose release can help; empty if any may."""
    terms: SharingTerms | None = None
    """Terms on which the service could share an address; None if sharing can't help."""

    @property
    def groups(self) -> tuple[Hashable, ...]:
        """The groups of a service that waits for this; the group for sharing is last."""
        first = (self.prospects, self.addresses)
        return (first,) if self.terms is None else (first, (self.prospects, self.terms))


class WaitingServices:
    """Keys of waiting services, with the condition that each waits for."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Awaited, Turn]] = {}
        self._groups: dict[Hashable, list[Turn]] = {}
        # Groups by the change that helps them: any address, a specific one, a sharing key.
        self._by_any: dict[Hashable, None] = {}
        self._by_address: dict[IPAddress, dict[Hashable, None]] = {}
        self._by_sharing_key: dict[str, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        """Return the number of waiting services."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether a service waits."""
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the waiting services, in no particular order."""
        return iter(tuple(self._entries))

    def put(self, key: str, created: str, awaited: Awaited) -> None:
        """Add a service, or replace the condition that it waits for."""
        entry = (awaited, (created, key))
        if self._entries.get(key) == entry:
            return
        self.remove(key)
        self._entries[key] = entry
        for group in awaited.groups:
            insort(self._groups.setdefault(group, []), entry[1])
        first, *others = awaited.groups
        if not awaited.addresses:
            self._by_any[first] = None
        for address in awaited.addresses:
            self._by_address.setdefault(address, {})[first] = None
        if awaited.terms is not None:
            self._by_sharing_key.setdefault(awaited.terms.key, {}).update(dict.fromkeys(others))

    def remove(self, key: str) -> None:
        """Remove a service if it waits."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        awaited, turn = entry
        for group in awaited.groups:
            turns = self._groups[group]
            del turns[bisect_left(turns, turn)]
            if not turns:
                del self._groups[group]
                self._forget(group, awaited)

    def head(self, group: Hashable) -> Turn | None:
        """Return the oldest service of a group; None if it is empty."""
        turns = self._groups.get(group)
        return turns[0] if turns else None

    def heads(
        self, freed: Collection[IPAddress], sharing_keys: Collection[str] = ()
    ) -> list[tuple[Turn, Hashable]]:
        """Return the oldest service of each group that a change may help, with the group.

        The change freed these addresses, or changed holdings under these sharing keys.
        """
        groups = dict(self._by_any)
        for address in freed:
            groups |= self._by_address.get(address, {})
        for sharing_key in sharing_keys:
            groups |= self._by_sharing_key.get(sharing_key, {})
        return [(self._groups[group][0], group) for group in groups]

    def may_share(self, sharing_key: str) -> bool:
        """Whether some waiting service could share an address under this key."""
        return sharing_key in self._by_sharing_key

    def _forget(self, group: Hashable, awaited: Awaited) -> None:
        self._by_any.pop(group, None)
        for address in awaited.addresses:
            _drop(self._by_address, address, group)
        if awaited.terms is not None:
            _drop(self._by_sharing_key, awaited.terms.key, group)


def _drop(index: dict[K, dict[V, None]], key: K, member: V) -> None:
    members = index.get(key)
    if members is not None:
        members.pop(member, None)
        if not members:
            del index[key]
