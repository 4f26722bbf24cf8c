"""Failure detection by Leases (coordination.k8s.io/v1), without I/O or clock.

Theory of operation. Each speaker renews a Lease of its own, and watches all of them. A speaker that
stops renewing is no candidate any more. What counts is the time at which a renewal was *observed*,
on the local clock; the times in a Lease are for people, and here only distinguish one renewal from
another.

If no renewal of a speaker is observed, the cause may be that speaker, the API server, the
connection to it, or a pause of the local process. So no Lease expires by the passage of
time alone; it takes a renewal of our own, observed through the same watch. A watch reports changes
in the order in which they were made. If our own renewal, sent a whole duration after another
speaker's last renewal was observed, is observed, and that speaker's next renewal was not observed
before it, then there is none. Therefore:

- While the API server is unreachable or silent, no Lease expires, since no own renewal is observed.
- After that, every Lease gets a whole duration again: if an own renewal failed, or was not observed
  before the next one, or was not sent in time since this process was suspended. Other speakers may
  recover later than this one.
- A Lease observed for the first time counts as alive for one duration: it may be stale, but a
  speaker that starts must not move addresses.
- A Lease that is deleted, or has no holder, expires at once: its speaker left.
- The own node is always alive. Whether it can renew proves nothing about its network.

A speaker whose renewals reach the API server less than a duration apart is never declared gone,
however late they are observed; and one that stops is gone after a duration and one own renewal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from metallb_py.backoff import Backoff
from metallb_py.kube.objects import Lease, LeaseSpec

PREFIX: Final = "speaker-"
"""Prefix of the Leases' names; the node's name follows."""
LABELS: Final[Mapping[str, str]] = {"app": "metallb", "component": "speaker"}
"""Labels of the Leases, the same as those of the speakers' pods."""
MAX_DURATION: Final = 60
"""Most seconds that a Lease lasts without a renewal, whatever duration it contains."""
RETRY: Final = Backoff(first=0.1, limit=1.5, jitter=0.5)
"""Delays after failed renewals; short at first, as another API server may answer at once."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Timing of Leases, in seconds.

    A renewal that fails once or twice must still be able to succeed within ``duration``.
    """

    duration: int = 5
    """Time that a Lease lasts without a renewal; whole seconds, as the API requires."""
    renew: float = 1.5
    """Mean time between renewals."""
    jitter: float = 0.2
    """Part of ``renew`` by which the time varies at random, up and down, so that the speakers of a
    cluster do not all write at once."""
    attempt: float = 1.0
    """Time allowed for an answer of the API server."""

    def interval(self, uniform: float) -> float:
        """Return the time to the next renewal. ``uniform`` is a random number in [0, 1)."""
        return self.renew * (1 + self.jitter * (2 * uniform - 1))

    @property
    def pause(self) -> float:
        """Return the longest time between two own renewals, unless one fails or is delayed.

        Half an attempt longer than the longest interval, for a busy event loop.
        """
        return self.interval(1.0) + self.attempt / 2


@dataclass(frozen=True, slots=True)
class Renew:
    """Write the own Lease; without an answer ``within`` seconds it has failed."""

    within: float


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """The set of nodes that are alive has changed."""

    alive: frozenset[str]


@dataclass(frozen=True, slots=True)
class LeasesObserved:
    """Leases as last observed, by the name of their node; None for one that was deleted.

    A list has no order, and must be passed as a whole: the own renewal in it may precede an older
    one of another speaker.
    """

    leases: Mapping[str, Lease | None]


@dataclass(frozen=True, slots=True)
class Renewed:
    """Answer to Renew: the own Lease was written."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Answer to Renew: an error, or none in time. The write may have been carried out."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The watch of Leases has failed."""


Effect = Renew | MembersChanged
Input = LeasesObserved | Renewed | Failed | Unreachable


def node_of(lease: Lease) -> str:
    """Return the node of a speaker's Lease; empty for a Lease that is not a speaker's."""
    if any(lease.metadata.label(name) != value for name, value in LABELS.items()):
        return ""
    name = lease.metadata.name
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""


@dataclass(frozen=True, slots=True)
class _Other:
    """Another node's Lease, and the time at which this renewal was observed."""

    spec: LeaseSpec
    since: float
    alive: bool = True


@dataclass(frozen=True, slots=True)
class _Sent:
    """An own renewal that was not observed yet."""

    renew_time: str
    at: float


class LeaseFailureDetector:
    """Decides which speakers are alive, and when to renew the own Lease.

    Driver contract: call ``handle_timeout`` at ``next_deadline``. For Renew call ``renewing``,
    write the Lease, and pass Renewed or Failed to ``receive``. Pass there, too, what the watch
    reports. Times are monotonic seconds.
    """

    def __init__(self, node: str, timing: Timing, now: float) -> None:
        self._node = node
        self._timing = timing
        self._others: dict[str, _Other] = {}
        self._alive = frozenset({node})
        self._unreachable = True  # at any time since an own renewal was observed
        self._sent: _Sent | None = None
        self._confirmed = now  # when the last observed own renewal was sent
        self._due = now
        self._failures = 0
        self._uniform = 0.0

    @property
    def alive(self) -> frozenset[str]:
        """The nodes that are alive, including the own one."""
        return self._alive

    def next_deadline(self) -> float:
        """Return the time at which ``handle_timeout`` is due, unless an answer is pending."""
        return self._due

    def handle_timeout(self, now: float, uniform: float) -> tuple[Effect, ...]:
        """Renew the own Lease if it is due. ``uniform`` is a random number in [0, 1)."""
        if now < self._due:
            return ()
        self._uniform = uniform
        self._due = now + self._timing.interval(uniform)
        return (Renew(self._timing.attempt),)

    def renewing(self, renew_time: str, now: float) -> None:
        """Record that the own Lease is about to be written with this ``renewTime``."""
        self._sent = _Sent(renew_time, now)

    def receive(self, event: Input, now: float) -> tuple[Effect, ...]:
        """Handle observed Leases, a failed watch, or the answer to the last Renew."""
        match event:
            case LeasesObserved(leases):
                self._observe(leases, now)
            case Renewed():
                self._failures = 0
            case Failed():
                self._unreachable = True
                self._failures += 1
                self._due = now + RETRY.delay(self._failures, self._uniform)
            case Unreachable():
                self._unreachable = True
            case _:
                assert_never(event)
        alive = frozenset(node for node, other in self._others.items() if other.alive)
        alive |= {self._node}
        if alive == self._alive:
            return ()
        self._alive = alive
        return (MembersChanged(alive),)

    def _observe(self, leases: Mapping[str, Lease | None], now: float) -> None:
        for node, lease in leases.items():
            if node == self._node:
                self._observe_own(lease, now)
            else:
                self._observe_other(node, lease, now)

    def _observe_other(self, node: str, lease: Lease | None, now: float) -> None:
        if lease is None or not lease.holder:
            self._others.pop(node, None)
            return
        known = self._others.get(node)
        if known is None or known.spec != lease.spec:  # else only metadata changed
            self._others[node] = _Other(lease.spec, now)

    def _observe_own(self, lease: Lease | None, now: float) -> None:
        if lease is None or not lease.holder:  # deleted or released by another process
            self._due = min(self._due, now + RETRY.first)
        elif self._sent is not None and lease.spec.renew_time == self._sent.renew_time:
            sent, self._sent = self._sent, None
            self._expire(sent.at, now)
            self._confirmed = sent.at

    def _expire(self, sent_at: float, now: float) -> None:
        """Expire the Leases that were not renewed, now that an own renewal was observed."""
        if self._unreachable or sent_at - self._confirmed > self._timing.pause:
            self._unreachable = False
            self._others = {node: replace(other, since=now) for node, other in self._others.items()}
            return
        for node, other in self._others.items():
            if other.alive and sent_at - other.since >= self._duration(other):
                self._others[node] = replace(other, alive=False)

    def _duration(self, other: _Other) -> int:
        """Return the seconds that a Lease lasts: what its holder wrote, within limits."""
        written = other.spec.lease_duration_seconds or 0
        return min(max(self._timing.duration, written), MAX_DURATION)
