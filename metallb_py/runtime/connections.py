"""Accounting of a server's connections: selects the one to close when limits are exceeded.

The limits are on the number of connections and on the bytes of unfinished requests. No I/O: the
server closes the connections that ``admit``, ``evict`` and ``receive`` return.

There is one rule: clients that are not authenticated first, and among equals the one that has been
in its state for longest: idle, in an unfinished handshake, head or body, or not reading its
response. A connection with a request that is being handled is never selected. Single bytes are no
progress, so a client that sends one a second gains nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar


class Phase(Enum):
    """State of a connection."""

    HANDSHAKE = auto()
    """TCP is connected, the TLS handshake is not complete."""
    IDLE = auto()
    """Before the first byte of a request."""
    HEAD = auto()
    BODY = auto()
    HANDLING = auto()
    """A complete request is being handled."""
    WRITING = auto()
    """The response is being sent, as fast as the client reads it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server."""

    connections: int = 64
    """Connections in total."""
    per_source: int = 16
    """Connections from one address; a node's kubelet, Prometheus and API server may share one."""
    body_bytes: int = 0
    """Bytes of all unfinished and unanswered request bodies together."""


class Connection:
    """One connection. ``source`` is the client's address."""

    __slots__ = ("authenticated", "body_bytes", "phase", "since", "source")

    def __init__(self, source: str, now: float) -> None:
        self.source = source
        self.phase = Phase.HANDSHAKE
        self.since = now
        """When it was accepted, or when its current request or response began."""
        self.authenticated = False
        self.body_bytes = 0

    def enter(self, phase: Phase, now: float) -> None:
        """Record the new state of the connection."""
        # One period lasts from the accept to the first request, and one from the head to the end of
        # the body.
        if self.phase is not Phase.HANDSHAKE and phase is not Phase.BODY:
            self.since = now
        self.phase = phase


C = TypeVar("C", bound=Connection)


class Connections(Generic[C]):
    """All connections of a server."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: set[C] = set()
        self._body_bytes = 0

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, connection: C) -> bool:
        return connection in self._all

    def admit(self, connection: C) -> C | None:
        """Count a new connection; return the one to close for it, possibly the new one itself."""
        self._all.add(connection)
        same = [each for each in self._all if each.source == connection.source]
        if len(same) > self._limits.per_source:
            return self._remove(_least_entitled(same) or connection)
        if len(self._all) > self._limits.connections:
            return self._remove(_least_entitled(self._all) or connection)
        return None

    def evict(self) -> C | None:
        """Return the connection to close when the process has no file descriptor left."""
        victim = _least_entitled(self._all)
        return self._remove(victim) if victim else None

    def receive(self, connection: C, count: int) -> tuple[C, ...]:
        """Count bytes of a body; return the connections to close, possibly this one too."""
        connection.body_bytes += count
        self._body_bytes += count
        victims: list[C] = []
        while self._body_bytes > self._limits.body_bytes and connection in self._all:
            holders = [each for each in self._all if each.body_bytes]
            # If all others are being handled, this body is the one that exceeds the limit.
            victims.append(self._remove(_least_entitled(holders) or connection))
        return tuple(victims)

    def release(self, connection: C) -> None:
        """Stop counting the bytes of a connection's body."""
        self._body_bytes -= connection.body_bytes
        connection.body_bytes = 0

    def closed(self, connection: C) -> None:
        """Stop counting a connection. One that was returned for closing is no longer counted."""
        if connection in self._all:
            self._remove(connection)

    def _remove(self, connection: C) -> C:
        self._all.remove(connection)
        self.release(connection)
        return connection


def _least_entitled(connections: Iterable[C]) -> C | None:
    choices = [each for each in connections if each.phase is not Phase.HANDLING]
    return min(choices, key=lambda each: (each.authenticated, each.since), default=None)
