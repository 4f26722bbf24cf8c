"""Which of many sets of prefixes contain an address, without trying one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.addresses import IPAddress, IPNetwork


class PrefixIndex:
    """Sets of prefixes, numbered from 0 as given. They may overlap.

    A lookup costs as many dictionary accesses as there are different prefix lengths, however many
    sets and prefixes there are.
    """

    __slots__ = ("_size", "_tables")

    def __init__(self, sets: Iterable[Iterable[IPNetwork]]) -> None:
        # By IP version and host bits: which sets have a prefix, by its network bits.
        self._tables: dict[int, dict[int, dict[int, list[int]]]] = {4: {}, 6: {}}
        self._size = 0
        for number, prefixes in enumerate(sets):
            self._size = number + 1
            for prefix in prefixes:
                host_bits = prefix.max_prefixlen - prefix.prefixlen
                table = self._tables[prefix.version].setdefault(host_bits, {})
                bits = int(prefix.network_address) >> host_bits
                there = table.setdefault(bits, [])
                if number not in there[-1:]:
                    there.append(number)

    def containing(self, address: IPAddress) -> frozenset[int]:
        """Return the numbers of the sets that contain an address."""
        value = int(address)
        tables = self._tables[address.version].items()
        return frozenset(
            number for bits, table in tables for number in table.get(value >> bits, ())
        )

    def containing_all(self, addresses: Iterable[IPAddress]) -> list[int]:
        """Return the numbers, in ascending order, of the sets that contain all of the addresses."""
        found: frozenset[int] | None = None
        for address in addresses:
            there = self.containing(address)
            found = there if found is None else found & there
        return list(range(self._size)) if found is None else sorted(found)
