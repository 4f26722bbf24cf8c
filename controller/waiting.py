"""Services that wait for something, so that a release tries few of them, however many wait.

Those that wait for the same form a group: if its oldest gets nothing, none of it does. Most wait
for any free address. Some wait for certain ones, and are tried when one of those became free. A
service with a sharing key is in a second group, which is tried when something changed under that
key: it may be able to share then, where no address is free.
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
"""When a service was created, and its key: the order in which services are served."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a service waits for; equal for services with the same prospects.

    ``addresses``: only these can help it; empty where any may. ``terms``: on which it could share
    one; None where that is no possibility of its own.
    """

    prospects: Hashable
    addresses: tuple[IPAddress, ...] = ()
    terms: SharingTerms | None = None

    @property
    def groups(self) -> tuple[Hashable, ...]:
        """The groups that a service with this belongs to, the one for sharing last."""
        first = (self.prospects, self.addresses)
        return (first,) if self.terms is None else (first, (self.prospects, self.terms))


class WaitingServices:
    """Service keys with what each of them waits for."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Awaited, Turn]] = {}
        self._groups: dict[Hashable, list[Turn]] = {}
        # Groups by what helps them: any address, certain ones, a change under a sharing key.
        self._by_any: dict[Hashable, None] = {}
        self._by_address: dict[IPAddress, dict[Hashable, None]] = {}
        self._by_sharing_key: dict[str, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        """How many services wait."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether a service waits."""
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the services that wait, in no certain order."""
        return iter(tuple(self._entries))

    def put(self, key: str, created: str, awaited: Awaited) -> None:
        """Have a service wait, in place of what it waited for."""
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
        """Have a service wait no longer, if it does."""
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
        """Return the oldest of a group."""
        turns = self._groups.get(group)
        return turns[0] if turns else None

    def heads(
        self, freed: Collection[IPAddress], sharing_keys: Collection[str] = ()
    ) -> list[tuple[Turn, Hashable]]:
        """Return the oldest of each group that a change may help, with its group.

        The change freed these addresses, or changed what is shared under these keys.
        """
        groups = dict(self._by_any)
        for address in freed:
            groups |= self._by_address.get(address, {})
        for sharing_key in sharing_keys:
            groups |= self._by_sharing_key.get(sharing_key, {})
        return [(self._groups[group][0], group) for group in groups]

    def may_share(self, sharing_key: str) -> bool:
        """Whether a service waits that could share an address under this key."""
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
