"""When to announce an address that nobody asked for: MetalLB's schedule, as a machine.

A takeover opens a window of 5 s, in which a burst goes out at once and then every 1.1 s: some
equipment drops announcements that follow each other faster. An address that was lost is never
announced, not even for the rest of its window.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

WINDOW = 5.0
"""How long a takeover is announced, in seconds."""

INTERVAL = 1.1
"""The time between two bursts for the same address, in seconds."""

EVERY_INTERFACE = 0
"""In place of an interface index: announce on all of them."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Announce this packed address now, on one interface or on every one."""

    address: bytes
    interface: int


@dataclass(slots=True)
class _Window:
    next_burst: float
    end: float


class Gratuitous:
    """The open windows. Times are seconds of one clock that never goes back."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        # In the order of their next bursts: all have the same interval, so a window that had its
        # burst goes to the end.
        self._windows: dict[Burst, _Window] = {}

    def announce(
        self, address: bytes, now: float, interface: int = EVERY_INTERFACE
    ) -> tuple[Burst, ...]:
        """Open a window for an address, or extend the open one. Returns the bursts due at once."""
        burst = Burst(address, interface)
        window = self._windows.get(burst)
        if window is not None:
            window.end = now + WINDOW
            return ()
        self._windows[burst] = _Window(now + INTERVAL, now + WINDOW)
        return (burst,)

    def withdraw(self, addresses: Container[bytes]) -> None:
        """Close every window of these addresses: they are not owned any more."""
        for burst in [burst for burst in self._windows if burst.address in addresses]:
            del self._windows[burst]

    def handle_timeout(self, now: float) -> tuple[Burst, ...]:
        """Return the bursts that are due."""
        due: list[Burst] = []
        for burst, window in self._windows.items():
            if window.next_burst > now:
                break
            due.append(burst)
        return tuple(burst for burst in due if self._take(burst, now))

    def next_deadline(self) -> float | None:
        """Return when to call handle_timeout, or None while no window is open."""
        first = next(iter(self._windows.values()), None)
        return None if first is None else first.next_burst

    def _take(self, burst: Burst, now: float) -> bool:
        """Move a due window behind the others; close it instead where it has passed."""
        window = self._windows.pop(burst)
        if now >= window.end:
            return False
        window.next_burst = now + INTERVAL
        self._windows[burst] = window
        return True
