"""Handover of addresses: the old owner answers until the new owner announces them.

Without this a request between the two nodes' decisions gets no reply. The old owner sends
no announcements for these addresses; the new owner does.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

LINGER: Final = 1.0
"""Seconds of a handover; after them this node stops answering in any case."""
OVERLAP: Final = 0.02
"""Seconds of answering after the new owner's announcement was received.

A request that arrives there just before the new owner answers may arrive here just after its
announcement.
"""
SETTLING: Final = 2.0
"""Seconds after an address became owned in which announcements may still be the earlier owner's.

They do not announce the owner after this node.
"""
REMEMBERED: Final = 4096
"""Number of addresses announced by other nodes that are remembered while they are owned here."""


class Handover:
    """The addresses in handover. Times are monotonic seconds."""

    __slots__ = ("_announced", "_deadlines", "_owned_since", "interfaces_by_address")

    def __init__(self) -> None:
        self.interfaces_by_address: dict[bytes, tuple[str, ...]] = {}
        """The addresses, each with patterns of the names of the interfaces that answer for it."""
        self._deadlines: dict[bytes, float] = {}
        # When another node announced an address that was owned here at that time.
        self._announced: dict[bytes, float] = {}
        self._owned_since: dict[bytes, float] = {}

    def begin(self, addresses: Mapping[bytes, tuple[str, ...]], now: float) -> None:
        """Begin the handover of addresses, given with their interface patterns.

        A new owner that decided earlier than this node may have announced them already.
        """
        for address, interfaces in addresses.items():
            self._owned_since.pop(address, None)
            announced = self._announced.pop(address, -LINGER)
            deadline = announced + OVERLAP if now - announced < LINGER else now + LINGER
            if deadline > now:
                self.interfaces_by_address[address] = interfaces
                self._deadlines[address] = deadline

    def set_owned(self, owned: Set[bytes], now: float) -> None:
        """Replace the set of owned addresses. Those of them that are in handover leave it."""
        self._drop([address for address in self.interfaces_by_address if address in owned])
        for address in self._owned_since.keys() - owned:
            del self._owned_since[address]
        for address in owned - self._owned_since.keys():
            self._announced.pop(address, None)
            self._owned_since[address] = now

    def new_owner_announced(self, address: bytes, now: float) -> None:
        """Record another node's announcement of an address; stop answering OVERLAP later."""
        if address in self._deadlines:
            self._deadlines[address] = min(self._deadlines[address], now + OVERLAP)
            return
        owned_since = self._owned_since.get(address)
        if owned_since is not None and now - owned_since < SETTLING:
            return
        if len(self._announced) >= REMEMBERED:
            self._announced.clear()
        self._announced[address] = now

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next; None while no address is in handover."""
        return min(self._deadlines.values(), default=None)

    def handle_timeout(self, now: float) -> bool:
        """End the handovers that are due. Return whether there was one."""
        due = [address for address, deadline in self._deadlines.items() if deadline <= now]
        self._drop(due)
        return bool(due)

    def _drop(self, addresses: list[bytes]) -> None:
        for address in addresses:
            del self.interfaces_by_address[address], self._deadlines[address]
