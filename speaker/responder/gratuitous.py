"""When to announce an address that nobody asked for: MetalLB's schedule, as a machine.

A takeover opens a window of 5 s, in which a burst goes out at once and then every 1.1 s: some
equipment drops announcements that follow each other faster. An address that was lost is never
announced, not even for the rest of its window.

Where the operator wishes so, owned addresses are announced again and again, each once in an
interval: a switch may forget a MAC address sooner than the hosts behind it forget where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Set
from dataclasses import dataclass

WINDOW = 5.0
"""How long a takeover is announced, in seconds."""

INTERVAL = 1.1
"""The time between two bursts for the same address, in seconds."""

TELLING = 3
"""So many bursts of a takeover go also to whom it may concern most, one by one.

As many as RFC 4861 section 10 allows for announcements (MAX_NEIGHBOR_ADVERTISEMENT).
"""

EVERY_INTERFACE = 0
"""In place of an interface index: announce on all of them."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Announce this packed address now, on one interface or on every one.

    ``takeover`` is when it was taken over, in the first bursts that tell of that, which go also to
    the routers and to those who asked for it before. In all other bursts it is None.
    """

    address: bytes
    interface: int
    takeover: float | None = None


@dataclass(slots=True)
class _Window:
    opened: float
    next_burst: float
    end: float
    bursts: int = 1


class Gratuitous:
    """The open windows. Times are seconds of one clock that never goes back."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        # By address and interface, in the order of their next bursts: all have the same interval,
        # so a window that had its burst goes to the end.
        self._windows: dict[tuple[bytes, int], _Window] = {}

    def announce(
        self, address: bytes, now: float, interface: int = EVERY_INTERFACE
    ) -> tuple[Burst, ...]:
        """Open a window for an address, or extend the open one. Returns the bursts due at once."""
        window = self._windows.get((address, interface))
        if window is not None:
            window.end = now + WINDOW
            return ()
        self._windows[address, interface] = _Window(now, now + INTERVAL, now + WINDOW)
        return (Burst(address, interface, now),)

    def withdraw(self, addresses: Container[bytes]) -> None:
        """Close every window of these addresses: they are not owned any more."""
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
        """Return when to call handle_timeout, or None while no window is open."""
        first = next(iter(self._windows.values()), None)
        return None if first is None else first.next_burst

    def _take(self, address: bytes, interface: int, now: float) -> Burst | None:
        """Move a due window behind the others; close it instead where it has passed."""
        window = self._windows.pop((address, interface))
        if now >= window.end:
            return None
        window.next_burst = now + INTERVAL
        window.bursts += 1
        self._windows[address, interface] = window
        telling = window.bursts <= TELLING
        return Burst(address, interface, window.opened if telling else None)


class Refresh:
    """Announces each owned address once in ``interval`` seconds, evenly spread; never if that is 0.

    One after the other has its turn, so a thousand addresses make no burst of a thousand.
    """

    __slots__ = ("_interval", "_last", "_owned", "_turns")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._owned: Set[bytes] = frozenset()
        self._turns: deque[bytes] = deque()
        self._last = 0.0

    def own(self, addresses: Set[bytes], now: float) -> None:
        """These packed addresses are owned now. New ones wait for their turn behind the others."""
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
        """Return when to call handle_timeout, or None where nothing is to be announced."""
        if not self._turns:
            return None
        return self._last + self._interval / len(self._turns)

    def _is_due(self, now: float) -> bool:
        deadline = self.next_deadline()
        return deadline is not None and deadline <= now
