"""Assignment of owned addresses to the interfaces that answer for them, updated incrementally.

Placing ten thousand addresses takes ten milliseconds, during which no request is answered. So
only changed addresses are placed, unless the interfaces or their subnets changed. Short: it adds
this cache to ``subnets.placed``.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from metallb_py.protocols.rtnetlink import Link
from speaker.responder.subnets import Subnet, placed

Owned = Mapping[bytes, tuple[str, ...]]
Placed = Mapping[tuple[int, int], frozenset[bytes]]
"""Packed addresses by interface index and length; the same object where nothing changed."""

LENGTHS = (4, 16)


class Placement:
    """The latest placement. With ``any_interface`` subnets are ignored."""

    __slots__ = ("_any_interface", "_found", "_names", "_owned", "_subnets")

    def __init__(self, *, any_interface: bool = False) -> None:
        self._any_interface = any_interface
        self._names: Mapping[int, str] = {}
        self._subnets: Mapping[int, frozenset[Subnet]] = {}
        self._owned: Owned = {}
        self._found: dict[tuple[int, int], frozenset[bytes]] = {}

    def follow(
        self,
        owned: Owned,
        links: Mapping[int, Link],
        subnets: Mapping[int, frozenset[Subnet]],
    ) -> Placed:
        """Place the owned addresses on the links that ``placed`` selects; return the placement."""
        names = {index: link.name for index, link in links.items()}
        if names != self._names or subnets != self._subnets:
            self._names, self._subnets = names, subnets
            self._found = {(index, length): frozenset() for index in links for length in LENGTHS}
            self._owned = {}
        if owned is not self._owned:
            fresh = dict(owned.items() - self._owned.items())
            stale = fresh.keys() | (self._owned.keys() - owned.keys())
            self._owned = owned
            if stale:
                self._place(fresh, stale, links)
        return self._found

    def _place(self, fresh: Owned, stale: Set[bytes], links: Mapping[int, Link]) -> None:
        found = placed(fresh, links.values(), self._subnets, any_interface=self._any_interface)
        for (index, length), before in self._found.items():
            mine = frozenset(address for address in found[index] if len(address) == length)
            after = before.difference(stale) | mine
            if after != before:
                self._found[index, length] = after
