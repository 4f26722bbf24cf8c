"""Broadcast queue: messages for gossip, the least often transmitted first (SWIM, section 4.1).

memberlist's counterpart is ``TransmitLimitedQueue``.
"""

from __future__ import annotations

from collections.abc import Iterator

PART_OVERHEAD = 2
"""Bytes that a compound message adds for each part."""
MAX_MISSES = 8
"""Number of messages that do not fit after which a packet counts as full."""


class Broadcasts:
    """At most one message about each member: the latest."""

    __slots__ = ("_tier_of", "_tiers")

    def __init__(self) -> None:
        self._tiers: list[dict[str, bytes]] = []  # by number of transmissions; the latest last
        self._tier_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._tier_of)

    @property
    def has_pending(self) -> bool:
        """Whether a message is queued that was never transmitted."""
        return bool(self._tiers and self._tiers[0])

    def add(self, node: str, message: bytes) -> None:
        """Queue a message about a member, in place of an older one about it."""
        tier = self._tier_of.get(node)
        if tier is not None:
            del self._tiers[tier][node]
        self._put(node, message, 0)

    def take(self, room: int, limit: int) -> list[bytes]:
        """Return messages that fit into ``room`` bytes. Drop one after ``limit`` transmissions."""
        if not self._tier_of:
            return []
        chosen = list(self._choose(room))
        for tier, node, message in chosen:
            del self._tiers[tier][node], self._tier_of[node]
            if tier + 1 < limit:
                self._put(node, message, tier + 1)
        return [message for _, _, message in chosen]

    def _choose(self, room: int) -> Iterator[tuple[int, str, bytes]]:
        misses = 0
        for tier, messages in enumerate(self._tiers):
            for node, message in reversed(messages.items()):
                size = len(message) + PART_OVERHEAD
                if size > room:
                    misses += 1
                    if misses == MAX_MISSES:
                        return
                    continue
                room -= size
                yield tier, node, message

    def _put(self, node: str, message: bytes, tier: int) -> None:
        while len(self._tiers) <= tier:
            self._tiers.append({})
        self._tiers[tier][node] = message
        self._tier_of[node] = tier
