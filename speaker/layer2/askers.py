"""Who asked for which address lately: some hosts believe only what they are told themselves."""

from __future__ import annotations

from typing import NamedTuple

from metallb_py.protocols.ethernet import MacAddress

PER_ADDRESS = 64
OVERALL = 4096


class Asker(NamedTuple):
    """A host, by its MAC and packed IP addresses, and the index of the interface that it is on."""

    interface: int
    mac: MacAddress
    address: bytes


class Askers:
    """Remembers so many askers of each address, and of all; the ones not heard of longest go first.

    Those of an address that was lost are kept: it may come back, and then they are to be told.
    Times are seconds of one clock that never goes back.
    """

    __slots__ = ("_by_address", "_order", "_overall", "_per_address")

    def __init__(self, per_address: int = PER_ADDRESS, overall: int = OVERALL) -> None:
        self._per_address = per_address
        self._overall = overall
        self._by_address: dict[bytes, dict[Asker, float]] = {}
        self._order: dict[tuple[bytes, Asker], None] = {}  # of all, the oldest first

    def __len__(self) -> int:
        return len(self._order)

    def note(self, address: bytes, asker: Asker, now: float) -> None:
        """A host asked for a packed address."""
        known = self._by_address.get(address, {})
        if asker in known:
            self._forget(address, asker)
        elif len(known) >= self._per_address:
            self._forget(address, next(iter(known)))
        elif len(self._order) >= self._overall:
            self._forget(*next(iter(self._order)))
        self._by_address.setdefault(address, {})[asker] = now
        self._order[address, asker] = None

    def before(self, address: bytes, time: float) -> tuple[Asker, ...]:
        """Return those who asked for an address before a time, and not again since."""
        known = self._by_address.get(address, {})
        return tuple(asker for asker, asked in known.items() if asked < time)

    def _forget(self, address: bytes, asker: Asker) -> None:
        known = self._by_address[address]
        del known[asker], self._order[address, asker]
        if not known:
            del self._by_address[address]
