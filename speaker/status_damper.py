"""Damping of a status that keeps changing, as when two controllers write addresses in turn.

The first CHANGES changes within WINDOW take effect at once. After that one status of the service
is kept until there was no change for QUIET: one whose addresses may be announced, if it ever had
one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from metallb_py.kube.objects import Service, ServiceStatus

CHANGES = 3
"""Changes of addresses within WINDOW that take effect at once."""
WINDOW = 10.0
"""Seconds over which changes are counted."""
QUIET = 10.0
"""Seconds without a change after which the latest status takes effect."""


@dataclass(slots=True)
class _Flapping:
    """A service whose addresses changed recently.

    ``changes`` are the times of the last CHANGES changes. ``kept`` is the status in force while
    the service is damped, else None; ``latest`` is its latest version meanwhile. At ``due`` the
    record is dropped, and ``latest`` takes effect.
    """

    changes: deque[float] = field(default_factory=lambda: deque(maxlen=CHANGES))
    kept: ServiceStatus | None = None
    latest: Service | None = None
    due: float = 0.0


class StatusDamper:
    """Replaces the status of Services that change too often. Times are monotonic seconds.

    ``allowed`` returns whether a Service's addresses may be announced.
    """

    __slots__ = ("_allowed", "_services")

    def __init__(self, allowed: Callable[[Service], bool]) -> None:
        self._allowed = allowed
        self._services: dict[str, _Flapping] = {}

    def is_damped(self, key: str) -> bool:
        """Whether the status of a service is held back."""
        found = self._services.get(key)
        return found is not None and found.kept is not None

    def changed(
        self, key: str, old: Service | None, new: Service | None, now: float
    ) -> Service | None:
        """Return the version to use for ``new``: unchanged, or with the status that is kept."""
        if new is None or (old is not None and old.metadata.uid != new.metadata.uid):
            self._services.pop(key, None)
            return new
        if old is None:
            return new
        flapping = self._services.get(key)
        # First addresses, or addresses after an empty status, do not indicate two writers.
        had = old.status_addresses
        changes = bool(had) and had != new.status_addresses
        if flapping is None and changes:
            flapping = self._services[key] = _Flapping()
        if flapping is None:
            return new
        if changes:
            self._count(flapping, old, now)
        if flapping.kept is None:
            return new
        flapping.latest = new
        damped = msgspec.structs.replace(new, status=flapping.kept)
        if self._allowed(new) and not self._allowed(damped):
            flapping.kept = new.status
            return new
        return damped

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next; None while no service changed recently."""
        return min((each.due for each in self._services.values()), default=None)

    def handle_timeout(self, now: float) -> tuple[Service, ...]:
        """Return the latest version of each service whose damping ends now."""
        quiet = [key for key, each in self._services.items() if each.due <= now]
        settled = (self._services.pop(key).latest for key in quiet)
        return tuple(service for service in settled if service is not None)

    def _count(self, flapping: _Flapping, old: Service, now: float) -> None:
        recent = len(flapping.changes) == CHANGES and now - flapping.changes[0] < WINDOW
        if recent and flapping.kept is None:
            flapping.kept = old.status
        flapping.changes.append(now)
        flapping.due = now + QUIET
