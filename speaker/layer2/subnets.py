"""Which subnets the interfaces are on, and where an owned address is therefore answered for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metallb_py.config.interfaces import matches_interface
from metallb_py.protocols.rtnetlink import SCOPE_LINK, Address, DumpDone, Link, Message


@dataclass(frozen=True, slots=True)
class Subnet:
    """A prefix, as the integers that make it quick to compare with."""

    network: int
    prefix_length: int
    bits: int

    @classmethod
    def of(cls, address: bytes, prefix_length: int) -> Subnet:
        """Return the subnet that a packed address is on."""
        bits = 8 * len(address)
        host = bits - prefix_length
        return cls(int.from_bytes(address) >> host, prefix_length, bits)

    def __contains__(self, address: bytes) -> bool:
        bits = 8 * len(address)
        host = bits - self.prefix_length
        return bits == self.bits and int.from_bytes(address) >> host == self.network

    @property
    def first(self) -> bytes:
        """The subnet's own address, packed."""
        host = self.bits - self.prefix_length
        return (self.network << host).to_bytes(self.bits // 8)


class SubnetTable:
    """The subnets of this machine's interfaces, from events and from complete lists.

    Addresses that mean something on their own link alone tell nothing, and are left out.
    """

    __slots__ = ("_addresses", "_seen", "_sequence", "listed")

    def __init__(self) -> None:
        self.listed = False
        """Whether a complete list was read since the start."""
        self._addresses: set[Address] = set()
        self._seen: set[Address] = set()  # since the list was asked for
        self._sequence = 0

    def list_requested(self) -> int:
        """A complete list will be asked for; returns the number to do it with."""
        self._sequence += 1
        self._seen.clear()
        return self._sequence

    def receive(self, messages: Iterable[Message]) -> bool:
        """Apply what the kernel said. Returns False where a list is of no use: ask again."""
        complete = True
        for message in messages:
            match message:
                case Address(present=True, scope=scope):
                    if scope < SCOPE_LINK:
                        self._addresses.add(message)
                        self._seen.add(message)
                case Address():
                    gone = {a for a in self._addresses if _same(a, message)}
                    self._addresses -= gone
                    self._seen -= gone
                case DumpDone(sequence=sequence, complete=whole):
                    if sequence == self._sequence and whole:
                        self._addresses = set(self._seen)
                        self.listed = True
                    else:
                        complete = False
                case _:
                    pass
        return complete

    def subnets(self) -> Mapping[int, frozenset[Subnet]]:
        """Return the subnets of each interface, by index."""
        found: dict[int, set[Subnet]] = {}
        for item in self._addresses:
            found.setdefault(item.index, set()).add(Subnet.of(item.address, item.prefix_length))
        return {index: frozenset(subnets) for index, subnets in found.items()}


def _same(one: Address, other: Address) -> bool:
    def key(item: Address) -> tuple[int, bytes, int]:
        return (item.index, item.address, item.prefix_length)

    return key(one) == key(other)


def placed(
    owned: Mapping[bytes, tuple[str, ...]],
    links: Iterable[Link],
    subnets: Mapping[int, frozenset[Subnet]],
    *,
    any_interface: bool,
) -> Mapping[int, frozenset[bytes]]:
    """Return which owned addresses each link answers for, by its index.

    ``owned`` maps packed addresses to the interfaces that may answer for them. Of these, those on
    the address's subnet do; where there are none, or with ``any_interface``, all of them.
    """
    there = tuple(links)
    found: dict[int, set[bytes]] = {link.index: set() for link in there}
    allowed: dict[tuple[str, ...], tuple[int, ...]] = {}
    for address, patterns in owned.items():
        if patterns not in allowed:
            names = (link for link in there if matches_interface(patterns, link.name))
            allowed[patterns] = tuple(link.index for link in names)
        candidates = allowed[patterns]
        on_it = () if any_interface else _on_subnet(address, candidates, subnets)
        for index in on_it or candidates:
            found[index].add(address)
    return {index: frozenset(addresses) for index, addresses in found.items()}


def _on_subnet(
    address: bytes, candidates: Iterable[int], subnets: Mapping[int, frozenset[Subnet]]
) -> tuple[int, ...]:
    return tuple(
        index
        for index in candidates
        if any(address in subnet for subnet in subnets.get(index, frozenset()))
    )
