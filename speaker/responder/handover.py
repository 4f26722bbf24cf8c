"""Addresses that moved to another node, and are answered for until that node is heard of.

Without this a client that asks between the two nodes' decisions gets no answer. Nothing is
announced for them: their new owner does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

LINGER: Final = 1.0
"""In seconds; then an address is let go in any case."""
OVERLAP: Final = 0.02
"""In seconds, after the new owner was heard: a question that reached it just before it answered may
reach us just after it announced."""
SETTLING: Final = 2.0
"""In seconds, after an address is taken: what is announced may be the earlier owner's bursts, and
not those of the next one."""
REMEMBERED: Final = 4096


class Lingering:
    """Times are seconds of one clock that never goes back."""

    __slots__ = ("_deadlines", "_heard", "_taken", "places")

    def __init__(self) -> None:
        self.places: dict[bytes, tuple[str, ...]] = {}
        """Where each address is answered for still: patterns of interfaces' names."""
        self._deadlines: dict[bytes, float] = {}
        self._heard: dict[bytes, float] = {}  # when others announced an address that was ours then
        self._taken: dict[bytes, float] = {}  # since when an address is ours

    def leave(self, places: Mapping[bytes, tuple[str, ...]], now: float) -> None:
        """These addresses have another owner from now on.

        One that decided sooner than we did may have announced them already.
        """
        for address, where in places.items():
            self._taken.pop(address, None)
            heard = self._heard.pop(address, -LINGER)
            deadline = heard + OVERLAP if now - heard < LINGER else now + LINGER
            if deadline > now:
                self.places[address] = where
                self._deadlines[address] = deadline

    def take(self, owned: Set[bytes], now: float) -> None:
        """These addresses are owned now, and no others; some may have been left before."""
        self._drop([address for address in self.places if address in owned])
        for address in self._taken.keys() - owned:
            del self._taken[address]
        for address in owned - self._taken.keys():
            self._heard.pop(address, None)
            self._taken[address] = now

    def heard(self, address: bytes, now: float) -> None:
        """The new owner of an address announced it: let it go soon."""
        if address in self._deadlines:
            self._deadlines[address] = min(self._deadlines[address], now + OVERLAP)
            return
        taken = self._taken.get(address)
        if taken is not None and now - taken < SETTLING:
            return
        if len(self._heard) >= REMEMBERED:
            self._heard.clear()
        self._heard[address] = now

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due, if at all."""
        return min(self._deadlines.values(), default=None)

    def handle_timeout(self, now: float) -> bool:
        """Let go what is due. Returns whether there was something."""
        due = [address for address, deadline in self._deadlines.items() if deadline <= now]
        self._drop(due)
        return bool(due)

    def _drop(self, addresses: list[bytes]) -> None:
        for address in addresses:
            del self.places[address], self._deadlines[address]
