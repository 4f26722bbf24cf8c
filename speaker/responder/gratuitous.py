"""Schedule of gratuitous ARP and unsolicited neighbor advertisements: MetalLB's, as a machine.

A takeover opens a window of 5 s, in which a burst is sent at once and then every 1.1 s: some
equipment drops announcements that follow each other faster. An address that was lost is never
announced, not even for the rest of its window.

As an option, owned addresses are announced periodically, each once in an interval: a switch may
expire a MAC address sooner than the hosts behind it expire their neighbor cache entry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Set
from dataclasses import dataclass

WINDOW = 5.0
"""Duration of a takeover's announcements, in seconds."""

INTERVAL = 1.1
"""Time between two bursts for the same address, in seconds."""

DIRECTED_BURSTS = 3
"""Number of takeover bursts that are also sent unicast to recent requesters, and to routers.

As many as RFC 4861 section 10 allows for announcements (MAX_NEIGHBOR_ADVERTISEMENT).
"""

EVERY_INTERFACE = 0
"""In place of an interface index: announce on every interface."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Announce this packed address now, on one interface or on every one.

    ``takeover`` is the time of the takeover in its first DIRECTED_BURSTS bursts, which are also
    sent to routers and to hosts that requested the address before. In all other bursts it is None.
    """

    address: bytes
    interface: int
    takeover: float | None = None


@dataclass(slots=True)
class _Window:
    """The announcements of one takeover. Times are monotonic seconds."""

    opened: float
    next_burst: float
    end: float
    bursts: int = 1


class Gratuitous:
    """The open windows. Times are monotonic seconds."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        # By address and interface, in the order of their next bursts: the interval is the same for
        # all, so after its burst a window moves to the end.
        self._windows: dict[tuple[bytes, int], _Window] = {}

    def announce(
        self, address: bytes, now: float, interface: int = EVERY_INTERFACE
    ) -> tuple[Burst, ...]:
        """Open a window for an address, or extend the open one. Return the bursts due at once."""
        window = self._windows.get((address, interface))
        if window is not None:
            window.end = now + WINDOW
            return ()
        self._windows[address, interface] = _Window(now, now + INTERVAL, now + WINDOW)
        return (Burst(address, interface, now),)

    def withdraw(self, addresses: Container[bytes]) -> None:
        """Close every window of these addresses, as they are not owned any more."""
        for key in [key for key in self._windows if key[0] in addresses]:
            del self._windows[key]

    def handle_timeout(self, now: float) -> tuple[Burst, ...]:
        """Return the bursts that are due."""
        due: list[tuple[bytes, int]] = []
        for key, window in self._windows.items():
            if window.next_burst > now:
                break
            due.append(key)
        bursts = (self._take(*key, now) for key in due)
        return tuple(burst for burst in bursts if burst is not None)

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next; None while no window is open."""
        first = next(iter(self._windows.values()), None)
        return None if first is None else first.next_burst

    def _take(self, address: bytes, interface: int, now: float) -> Burst | None:
        """Return the burst of a due window and move the window to the end; close it at its end."""
        window = self._windows.pop((address, interface))
        if now >= window.end:
            return None
        window.next_burst = now + INTERVAL
        window.bursts += 1
        self._windows[address, interface] = window
        directed = window.bursts <= DIRECTED_BURSTS
        return Burst(address, interface, window.opened if directed else None)


class Refresh:
    """Announces each owned address once in ``interval`` seconds; never if that is 0.

    The addresses take turns, evenly spread over the interval, so that a thousand addresses cause
    no burst of a thousand frames. Times are monotonic seconds.
    """

    __slots__ = ("_interval", "_last", "_owned", "_turns")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._owned: Set[bytes] = frozenset()
        self._turns: deque[bytes] = deque()
        self._last = 0.0

    def own(self, addresses: Set[bytes], now: float) -> None:
        """Set the owned packed addresses. New ones are queued behind the others."""
        if not self._interval:
            return
        if not self._owned:
            self._last = now
        self._turns.extend(sorted(addresses - self._owned))
        if self._owned - addresses:
            self._turns = deque(address for address in self._turns if address in addresses)
        self._owned = addresses

    def handle_timeout(self, now: float) -> tuple[Burst, ...]:
        """Return the bursts that are due; after a long pause, no address twice."""
        due: list[Burst] = []
        while len(due) < len(self._turns) and self._is_due(now):
            self._last += self._interval / len(self._turns)
            due.append(Burst(self._turns[0], EVERY_INTERFACE))
            self._turns.rotate(-1)
        if self._is_due(now):
            self._last = now
        return tuple(due)

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next; None while nothing is to be announced."""
        if not self._turns:
            return None
        return self._last + self._interval / len(self._turns)

    def _is_due(self, now: float) -> bool:
        deadline = self.next_deadline()
        return deadline is not None and deadline <= now
