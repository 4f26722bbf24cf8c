"""Schedule of joins to the gossip cluster: to each speaker's pod that is not a member yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.backoff import Backoff

RETRY: Final = Backoff(first=0.5, limit=30.0, jitter=0.3)
"""Delays between attempts to join one address."""
_FAILURES_AFTER_LOSS: Final = 3
"""Number of failures that the delay counts after a member was lost."""
MAX_CONCURRENT_JOINS: Final = 8
"""Most joins at once. Each is a push-pull of all state; mostly the first returns all members."""
JOIN_TIMEOUT: Final = 0.3
"""Seconds after which a pending join no longer delays other joins or, after a first success, the
first report of the members."""


@dataclass(slots=True)
class _Target:
    """One address to join."""

    due: float
    """Time of the next attempt."""
    tries: int = 0
    """Number of attempts since the address was last a member's."""
    began: float | None = None
    """Time at which the pending join began; None without one."""
    tried: bool = False
    """Whether at least one join has ended."""


class JoinScheduler:
    """Schedules joins: at once, then with increasing delays. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._targets: dict[IPAddress, _Target] = {}
        self._members: frozenset[IPAddress] = frozenset()
        self._complete_at: float | None = None  # when pending joins no longer delay ``complete``
        self.complete = False
        """Whether each address was tried once, so that every reachable member is known."""

    def pods(self, addresses: Iterable[IPAddress], now: float) -> None:
        """Set the addresses of the other speakers, in the order in which they are tried."""
        wanted = dict.fromkeys(addresses)
        for address in self._targets.keys() - wanted.keys():
            del self._targets[address]
        for address in wanted:
            self._targets.setdefault(address, _Target(now))
        self._update_complete(now)

    def members(self, addresses: Iterable[IPAddress], now: float) -> None:
        """Set the addresses of the present members."""
        before, self._members = self._members, frozenset(addresses)
        for address, target in self._targets.items():
            if address in self._members:
                target.tries = 0
            elif address in before:  # it may return soon, or only this node has lost it
                target.tries = _FAILURES_AFTER_LOSS
                target.due = now + RETRY.delay(_FAILURES_AFTER_LOSS)
        self._update_complete(now)

    def handle_timeout(self, now: float) -> tuple[IPAddress, ...]:
        """Return the addresses to join now. Call ``ended`` for each."""
        self._update_complete(now)
        waiting = [a for a, target in self._targets.items() if self._waits(a) and target.due <= now]
        busy = sum(began + JOIN_TIMEOUT > now for began in self._pending())
        due = waiting[: max(0, MAX_CONCURRENT_JOINS - busy)]
        for address in due:
            self._targets[address].began = now
        return tuple(due)

    def ended(
        self, address: IPAddress, now: float, *, joined: bool, random_fraction: float
    ) -> bool:
        """Record the end of a join. Return whether to log it: the first since it was a member.

        ``random_fraction`` is a random number in [0, 1). A join that succeeds without a member at
        that address is tried again like one that failed: the member may still be known at another
        address.
        """
        if joined and self._complete_at is None:
            self._complete_at = now + JOIN_TIMEOUT
        target = self._targets.get(address)
        if target is None:
            self._update_complete(now)
            return False
        target.began = None
        target.tried = True
        target.tries += 1
        target.due = now + RETRY.delay(target.tries, random_fraction)
        self._update_complete(now)
        return target.tries == 1

    def next_deadline(self) -> float | None:
        """Return the time at which to call ``handle_timeout``; None without a join."""
        pending = self._pending()
        free = (
            pending[-MAX_CONCURRENT_JOINS] + JOIN_TIMEOUT
            if len(pending) >= MAX_CONCURRENT_JOINS
            else 0.0
        )
        times = [max(free, t.due) for address, t in self._targets.items() if self._waits(address)]
        if self._complete_at is not None and not self.complete:
            times.append(self._complete_at)
        return min(times, default=None)

    def _pending(self) -> list[float]:
        """Return the times at which the pending joins began, the earliest first."""
        return sorted(t.began for t in self._targets.values() if t.began is not None)

    def _waits(self, address: IPAddress) -> bool:
        return self._targets[address].began is None and address not in self._members

    def _update_complete(self, now: float) -> None:
        untried = [
            address
            for address, target in self._targets.items()
            if not target.tried and address not in self._members
        ]
        timed_out = self._complete_at is not None and now >= self._complete_at
        self.complete = self.complete or timed_out or not untried
