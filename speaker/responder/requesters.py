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
    """Remembers so many askers of each address, those heard of last; and so many altogether.

    Where that is too few for all addresses, each in turn loses the one not heard of longest. Those
    of an address that was lost are kept: it may come back, and then they are to be told. Times are
    seconds of one clock that never goes back.
    """

    __slots__ = ("_by_address", "_count", "_overall", "_per_address")

    def __init__(self, per_address: int = PER_ADDRESS, overall: int = OVERALL) -> None:
        self._per_address = per_address
        self._overall = overall
        self._count = 0
        # The addresses in the order in which they are to lose one; the fields of each Asker, and
        # when it asked, in that order.
        self._by_address: dict[bytes, dict[tuple[int, MacAddress, bytes], float]] = {}

    def __len__(self) -> int:
        return self._count

    def note(
        self, address: bytes, interface: int, mac: MacAddress, asker: bytes, now: float
    ) -> None:
        """A host, told by the fields of an Asker, asked for a packed address.

        Every answer to a new question passes here; to make a record each time would double the
        price.
        """
        who = (interface, mac, asker)
        known = self._by_address.setdefault(address, {})
        if who in known:
            del known[who]
        elif len(known) >= self._per_address:
            del known[next(iter(known))]
        else:
            self._count += 1
        known[who] = now
        if self._count > self._overall:
            self._forget_one()

    def before(self, address: bytes, time: float) -> tuple[Asker, ...]:
        """Return those who asked for an address before a time, and not again since."""
        known = self._by_address.get(address, {})
        return tuple(Asker(*who) for who, asked in known.items() if asked < time)

    def _forget_one(self) -> None:
        address = next(iter(self._by_address))
        known = self._by_address.pop(address)
        del known[next(iter(known))]
        self._count -= 1
        if known:
            self._by_address[address] = known
