"""Announcements of this node, indexed by service and by address."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from metallb_py.addresses import IPAddress
from speaker.decision import Announcement


class Announced(MutableMapping[str, Announcement]):
    """The announcement of each service, by service key.

    An index by address makes ``at`` a single look-up: it runs for each reported address conflict,
    and any host on the link can cause those at any rate.
    """

    __slots__ = ("_by_address", "_by_key")

    def __init__(self) -> None:
        self._by_key: dict[str, Announcement] = {}
        self._by_address: dict[IPAddress, set[str]] = {}

    def at(self, address: IPAddress) -> tuple[str, ...]:
        """Return the keys of the services that are announced at an address, sorted."""
        return tuple(sorted(self._by_address.get(address, ())))

    def __getitem__(self, key: str) -> Announcement:
        return self._by_key[key]

    def __setitem__(self, key: str, announcement: Announcement) -> None:
        self.pop(key, None)
        self._by_key[key] = announcement
        for address in announcement.addresses:
            self._by_address.setdefault(address, set()).add(key)

    def __delitem__(self, key: str) -> None:
        for address in self._by_key.pop(key).addresses:
            keys = self._by_address[address]
            keys.discard(key)
            if not keys:
                del self._by_address[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)
