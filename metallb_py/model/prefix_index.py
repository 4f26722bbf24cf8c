"""Index of prefixes, to find those that contain an address without a scan; short: one structure."""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.addresses import IPAddress, IPNetwork


class PrefixIndex:
    """Sets of prefixes, numbered from 0 in the given order. They may overlap.

    A lookup costs one dictionary access for each distinct prefix length, independent of the number
    of sets and prefixes.
    """

    __slots__ = ("_size", "_tables")

    def __init__(self, sets: Iterable[Iterable[IPNetwork]]) -> None:
        # IP version -> number of host bits -> network bits -> numbers of the sets.
        self._tables: dict[int, dict[int, dict[int, list[int]]]] = {4: {}, 6: {}}
        self._size = 0
        for number, prefixes in enumerate(sets):
            self._size = number + 1
            for prefix in prefixes:
                host_bits = prefix.max_prefixlen - prefix.prefixlen
                table = self._tables[prefix.version].setdefault(host_bits, {})
                bits = int(prefix.network_address) >> host_bits
                numbers = table.setdefault(bits, [])
                if number not in numbers[-1:]:
                    numbers.append(number)

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
            numbers = self.containing(address)
            found = numbers if found is None else found & numbers
        return list(range(self._size)) if found is None else sorted(found)
