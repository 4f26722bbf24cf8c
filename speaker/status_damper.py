"""Damping of a status that keeps changing, as when two controllers write their addresses in turn.

The first changes pass at once. From then on a service keeps one status, until the changes have
ceased for a while: one whose addresses may be announced, where it ever had one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from metallb_py.kube.objects import Service, ServiceStatus

CHANGES = 3
"""Changes of addresses within WINDOW that pass at once."""
WINDOW = 10.0
"""Seconds in which changes are counted."""
QUIET = 10.0
"""Seconds without a change after which the latest status counts."""


@dataclass(slots=True)
class _Flapping:
    """A service whose addresses changed lately."""

    changes: deque[float] = field(default_factory=lambda: deque(maxlen=CHANGES))
    kept: ServiceStatus | None = None
    latest: Service | None = None
    due: float = 0.0


class StatusDamper:
    """Returns of each change of a Service what is to be taken for it. Times are monotonic seconds.

    ``allowed`` returns whether a Service's addresses may be announced.
    """

    __slots__ = ("_allowed", "_services")

    def __init__(self, allowed: Callable[[Service], bool]) -> None:
        self._allowed = allowed
        self._services: dict[str, _Flapping] = {}

    def is_damped(self, key: str) -> bool:
        """Whether a service is kept from following its status."""
        found = self._services.get(key)
        return found is not None and found.kept is not None

    def changed(
        self, key: str, old: Service | None, new: Service | None, now: float
    ) -> Service | None:
        """Return what to take for ``new``: itself, or itself with the status that is kept."""
        if new is None or (old is not None and old.metadata.uid != new.metadata.uid):
            self._services.pop(key, None)
            return new
        if old is None:
            return new
        flapping = self._services.get(key)
        # The first addresses, or some after none, are no sign of two writers.
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
        """Return when ``handle_timeout`` is to be called next; None: not before a change."""
        return min((each.due for each in self._services.values()), default=None)

    def handle_timeout(self, now: float) -> tuple[Service, ...]:
        """Return the services that follow their status again, as they are now."""
        quiet = [key for key, each in self._services.items() if each.due <= now]
        settled = (self._services.pop(key).latest for key in quiet)
        return tuple(service for service in settled if service is not None)

    def _count(self, flapping: _Flapping, old: Service, now: float) -> None:
        recent = len(flapping.changes) == CHANGES and now - flapping.changes[0] < WINDOW
        if recent and flapping.kept is None:
            flapping.kept = old.status
        flapping.changes.append(now)
        flapping.due = now + QUIET
