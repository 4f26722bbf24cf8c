"""Hosts that say that one of our addresses is theirs: who they are, and when to tell of them."""

from __future__ import annotations

from typing import Final

from metallb_py.addresses import IPAddress

TELL_AGAIN: Final = 600.0
"""Seconds after which a conflict that lasts is told of again."""
REMEMBERED: Final = 1024


class Conflicts:
    """Remembers what was told. Times are seconds of one clock that never goes back."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[tuple[IPAddress, str], float] = {}

    def is_news(self, address: IPAddress, mac: str, now: float) -> bool:
        """Whether a claim is to be told of now; if so, it counts as told."""
        told = self._told.get((address, mac))
        if told is not None and now - told < TELL_AGAIN:
            return False
        if len(self._told) >= REMEMBERED:
            del self._told[min(self._told, key=self._told.__getitem__)]
        self._told[address, mac] = now
        return True
