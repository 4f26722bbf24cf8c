"""The rumours that a member tells, each so many times, the least told first (SWIM, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator

PER_RUMOUR = 2
"""What a compound message adds for each part, in bytes."""
TRIES = 8
"""So many rumours that do not fit are skipped before a packet counts as full."""


class Broadcasts:
    """At most one rumour about each member: the latest."""

    __slots__ = ("_tier_of", "_tiers")

    def __init__(self) -> None:
        self._tiers: list[dict[str, bytes]] = []  # by how often they were told; the latest last
        self._tier_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._tier_of)

    @property
    def has_news(self) -> bool:
        """Whether there is a rumour that was never told."""
        return bool(self._tiers and self._tiers[0])

    def add(self, about: str, rumour: bytes) -> None:
        """Tell this from now on, and what was to be told about that member no more."""
        tier = self._tier_of.get(about)
        if tier is not None:
            del self._tiers[tier][about]
        self._put(about, rumour, 0)

    def take(self, room: int, limit: int) -> list[bytes]:
        """Return rumours that fit into so many bytes. One told ``limit`` times is forgotten."""
        if not self._tier_of:
            return []
        chosen = list(self._choose(room))
        for tier, about, rumour in chosen:
            del self._tiers[tier][about], self._tier_of[about]
            if tier + 1 < limit:
                self._put(about, rumour, tier + 1)
        return [rumour for _, _, rumour in chosen]

    def _choose(self, room: int) -> Iterator[tuple[int, str, bytes]]:
        misses = 0
        for tier, rumours in enumerate(self._tiers):
            for about, rumour in reversed(rumours.items()):
                size = len(rumour) + PER_RUMOUR
                if size > room:
                    misses += 1
                    if misses == TRIES:
                        return
                    continue
                room -= size
                yield tier, about, rumour

    def _put(self, about: str, rumour: bytes, tier: int) -> None:
        while len(self._tiers) <= tier:
            self._tiers.append({})
        self._tiers[tier][about] = rumour
        self._tier_of[about] = tier
