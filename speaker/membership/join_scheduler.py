"""Whom to join in the gossip cluster, and when: every speaker's pod that is no member yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.backoff import Backoff

RETRY: Final = Backoff(first=0.5, limit=30.0, jitter=0.3)
_LOST: Final = 3
AT_ONCE: Final = 8
"""Each join tells everything both ways, and mostly the first tells of all the others."""
GRACE: Final = 0.3
"""A join that hangs for so long keeps no other waiting; nor, after the first success, those who
want to know who lives.
"""


@dataclass(slots=True)
class _Target:
    due: float
    tries: int = 0  # since it was a member
    began: float | None = None  # while it is under way
    tried: bool = False


class Joining:
    """Joins are tried at once, and again ever more seldom. Times are of any monotonic clock."""

    def __init__(self) -> None:
        self._targets: dict[IPAddress, _Target] = {}
        self._members: frozenset[IPAddress] = frozenset()
        self._settled: float | None = None  # when it no longer matters what hangs
        self.complete = False
        """Whether all were tried once, and so everybody is known who can be."""

    def pods(self, addresses: Iterable[IPAddress], now: float) -> None:
        """These are the addresses of the other speakers. The first are tried first."""
        wanted = dict.fromkeys(addresses)
        for address in self._targets.keys() - wanted.keys():
            del self._targets[address]
        for address in wanted:
            self._targets.setdefault(address, _Target(now))
        self._look(now)

    def members(self, addresses: Iterable[IPAddress], now: float) -> None:
        """These are the addresses of the members that are there."""
        before, self._members = self._members, frozenset(addresses)
        for address, target in self._targets.items():
            if address in self._members:
                target.tries = 0
            elif address in before:  # it may be back soon, or have lost us alone
                target.tries = _LOST
                target.due = now + RETRY.delay(_LOST)
        self._look(now)

    def due(self, now: float) -> tuple[IPAddress, ...]:
        """Return whom to join now; ``ended`` is to follow for each."""
        waiting = [a for a, target in self._targets.items() if self._waits(a) and target.due <= now]
        busy = sum(began + GRACE > now for began in self._under_way())
        due = waiting[: max(0, AT_ONCE - busy)]
        for address in due:
            self._targets[address].began = now
        return tuple(due)

    def ended(self, address: IPAddress, now: float, *, joined: bool, chance: float) -> bool:
        """A join succeeded, or not. Returns whether that is worth telling: not each time.

        One that succeeds, and has nobody become a member at that address, is tried again as one
        that fails: the member may be known at another address still.
        """
        if joined and self._settled is None:
            self._settled = now + GRACE
        target = self._targets.get(address)
        if target is None:
            self._look(now)
            return False
        target.began = None
        target.tried = True
        target.tries += 1
        target.due = now + RETRY.delay(target.tries, chance)
        self._look(now)
        return target.tries == 1

    def next_deadline(self) -> float | None:
        """Return when ``due`` or ``handle_timeout`` has something to say."""
        begun = self._under_way()
        free = begun[-AT_ONCE] + GRACE if len(begun) >= AT_ONCE else 0.0
        times = [max(free, t.due) for address, t in self._targets.items() if self._waits(address)]
        if self._settled is not None and not self.complete:
            times.append(self._settled)
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self._look(now)

    def _under_way(self) -> list[float]:
        """Return when those joins began that have not ended."""
        return sorted(t.began for t in self._targets.values() if t.began is not None)

    def _waits(self, address: IPAddress) -> bool:
        return self._targets[address].began is None and address not in self._members

    def _look(self, now: float) -> None:
        untried = [
            address
            for address, target in self._targets.items()
            if not target.tried and address not in self._members
        ]
        settled = self._settled is not None and now >= self._settled
        self.complete = self.complete or settled or not untried
