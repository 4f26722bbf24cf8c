"""Accounting of a server's connections: which one has to go when there are too many, or too many
bytes of unfinished requests. No I/O: the server closes what ``admit`` and ``receive`` name.

The rule is one: callers that are not authenticated first, and among equals the one that has been
in its state for longest: idle, in an unfinished handshake, head or body, or not reading what it
asked for. A connection whose request the server works on is never named. Single bytes are no
progress, so a client that sends one a second gains nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar


class Phase(Enum):
    """What a connection is doing."""

    HANDSHAKE = auto()
    """TCP is connected, the TLS handshake is not complete."""
    IDLE = auto()
    """Before the first byte of a request."""
    HEAD = auto()
    BODY = auto()
    HANDLING = auto()
    """The server works on a complete request."""
    WRITING = auto()
    """The response goes out, as fast as the client reads it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a server takes on."""

    connections: int = 64
    """In all."""
    per_source: int = 16
    """From one address; a node's kubelet, Prometheus and API server may share one."""
    body_bytes: int = 0
    """Of all unfinished and unanswered request bodies together."""


class Connection:
    """One connection. ``source`` is the peer's address."""

    __slots__ = ("authenticated", "body_bytes", "phase", "since", "source")

    def __init__(self, source: str, now: float) -> None:
        self.source = source
        self.phase = Phase.HANDSHAKE
        self.since = now
        """When it was accepted, its current request began, or its current response."""
        self.authenticated = False
        self.body_bytes = 0

    def enter(self, phase: Phase, now: float) -> None:
        """Record what the connection does from now on."""
        # From the accept to the first request, and from the head to the end of the body, it is
        # one time that counts.
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
        """Count a new connection; return the one to close for it, perhaps the new one itself."""
        self._all.add(connection)
        same = [each for each in self._all if each.source == connection.source]
        if len(same) > self._limits.per_source:
            return self._remove(_least_entitled(same) or connection)
        if len(self._all) > self._limits.connections:
            return self._remove(_least_entitled(self._all) or connection)
        return None

    def evict(self) -> C | None:
        """Return the one to close where the process has no file descriptor left."""
        victim = _least_entitled(self._all)
        return self._remove(victim) if victim else None

    def receive(self, connection: C, count: int) -> tuple[C, ...]:
        """Count bytes of a body; return the connections to close, perhaps this one too."""
        connection.body_bytes += count
        self._body_bytes += count
        victims: list[C] = []
        while self._body_bytes > self._limits.body_bytes and connection in self._all:
            holders = [each for each in self._all if each.body_bytes]
            # Where the server works on all others, this body is one too many.
            victims.append(self._remove(_least_entitled(holders) or connection))
        return tuple(victims)

    def release(self, connection: C) -> None:
        """Count the bytes of a body no longer."""
        self._body_bytes -= connection.body_bytes
        connection.body_bytes = 0

    def closed(self, connection: C) -> None:
        """Count a connection no longer. One that was to be closed is not counted already."""
        if connection in self._all:
            self._remove(connection)

    def _remove(self, connection: C) -> C:
        self._all.remove(connection)
        self.release(connection)
        return connection


def _least_entitled(connections: Iterable[C]) -> C | None:
    choices = [each for each in connections if each.phase is not Phase.HANDLING]
    return min(choices, key=lambda each: (each.authenticated, each.since), default=None)
