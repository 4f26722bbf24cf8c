"""Subnets of the interfaces, and the selection of interfaces that answer for an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metallb_py.model.patterns import matches_interface
from metallb_py.protocols.rtnetlink import SCOPE_LINK, Address, Link, Message
from speaker.responder.kernel_table import Change, KernelTable


@dataclass(frozen=True, slots=True)
class Subnet:
    """A prefix as integers, for fast comparison.

    ``network`` is the prefix without host bits, ``bits`` the length of an address in bits.
    """

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
        """The network address, packed."""
        host = self.bits - self.prefix_length
        return (self.network << host).to_bytes(self.bits // 8)


_Key = tuple[int, bytes, int, bytes]


class SubnetTable(KernelTable[_Key, Subnet]):
    """The subnets of this host's interfaces, by index, address, prefix length and own address.

    Addresses of link or host scope identify no subnet of the network and are left out.
    """

    __slots__ = ()

    def read(self, message: Message) -> Change[_Key, Subnet] | None:
        """Return the change of an address that a message contains."""
        if not isinstance(message, Address):
            return None
        counts = message.present and message.scope < SCOPE_LINK
        subnet = Subnet.of(message.address, message.prefix_length) if counts else None
        local = message.local or message.address
        key = (message.index, message.address, message.prefix_length, local)
        return Change(key, subnet, message.sequence)

    def subnets(self) -> Mapping[int, frozenset[Subnet]]:
        """Return the subnets of each interface, by index."""
        found: dict[int, set[Subnet]] = {}
        for (index, *_), subnet in self.entries.items():
            found.setdefault(index, set()).add(subnet)
        return {index: frozenset(subnets) for index, subnets in found.items()}

    def addresses(self) -> Mapping[int, frozenset[bytes]]:
        """Return the packed addresses of each interface itself, by index."""
        found: dict[int, set[bytes]] = {}
        for index, _, _, local in self.entries:
            found.setdefault(index, set()).add(local)
        return {index: frozenset(addresses) for index, addresses in found.items()}


def placed(
    owned: Mapping[bytes, tuple[str, ...]],
    links: Iterable[Link],
    subnets: Mapping[int, frozenset[Subnet]],
    *,
    any_interface: bool,
) -> Mapping[int, frozenset[bytes]]:
    """Return the owned addresses for which each link answers, by its index.

    ``owned`` maps packed addresses to patterns of the interfaces that may answer for them. Of
    these interfaces, those on the address's subnet answer; if there are none, or with
    ``any_interface``, all of them.
    """
    every_link = tuple(links)
    found: dict[int, set[bytes]] = {link.index: set() for link in every_link}
    allowed: dict[tuple[str, ...], tuple[int, ...]] = {}
    for address, patterns in owned.items():
        if patterns not in allowed:
            matching = (link for link in every_link if matches_interface(patterns, link.name))
            allowed[patterns] = tuple(link.index for link in matching)
        candidates = allowed[patterns]
        on_subnet = () if any_interface else _on_subnet(address, candidates, subnets)
        for index in on_subnet or candidates:
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
