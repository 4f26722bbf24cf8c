"""Who is alive, by Leases (coordination.k8s.io/v1): with no I/O and no clock.

Theory of operation. Each speaker renews a Lease of its own, and watches all of them. Whoever
stops renewing is no candidate any more. What counts is when *we saw* a renewal, on our own clock;
the times in a Lease are for people, and here only tell one renewal from another.

That nothing was seen of another may be its fault, or that of the API server, of our connection to
it, or of our own process that stood still. So nobody is declared gone because time has passed;
what takes a renewal of our own, which came back to us through the same watch. A watch tells
changes in the order in which they were made. If our own, which was sent a whole duration after the
other's last one was seen, came back, and the other's next one did not come before it, then there
is none. Therefore:

- While the API server can't be reached, or is silent, nobody expires, as nothing of ours returns.
- If it was, then everybody gets a whole duration again: where a renewal of ours failed, or did not
  return before the next one, or was not sent in time, as this process stood still. Others need not
  be as lucky as we are when all is well again.
- A Lease at first sight counts as alive for one duration: it may be stale, but a speaker that
  starts must not move addresses.
- A Lease that is deleted, or that nobody holds, is gone at once: its speaker left.
- The own node is always alive. Whether it can renew says nothing about its network.

Nobody whose renewals reach the API server less than a duration apart is ever declared gone,
however late we hear of them; and whoever stops is gone after a duration and one renewal of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from metallb_py.backoff import Backoff
from metallb_py.kube.objects import Lease, LeaseSpec

PREFIX: Final = "speaker-"
"""Of the names of the Leases; what follows is the node's name."""
LABELS: Final[Mapping[str, str]] = {"app": "metallb", "component": "speaker"}
"""Of the Leases, as of the speakers' pods."""
LONGEST: Final = 60
"""No Lease lasts longer without a renewal, whatever it says; in seconds."""
RETRY: Final = Backoff(first=0.1, limit=1.5, jitter=0.5)
"""Between attempts to renew that fail: another server may be there at once."""


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds.

    ``duration``: how long a Lease lasts without a renewal; whole seconds, as the API has it.
    ``renew``: between renewals, more or less by the part ``jitter`` of it, so that the speakers of
    a cluster do not all write at once. ``attempt``: how long an answer may take. A renewal that
    fails once, or twice, has to succeed before the duration is over.
    """

    duration: int = 5
    renew: float = 1.5
    jitter: float = 0.2
    attempt: float = 1.0

    def interval(self, chance: float) -> float:
        """Return the time to the next renewal; ``chance`` is a random number in [0, 1)."""
        return self.renew * (1 + self.jitter * (2 * chance - 1))

    @property
    def pause(self) -> float:
        """Return how long after one of our renewals the next one is sent, at most, if all is well.

        Half an attempt more than the longest interval, for an event loop that is busy.
        """
        return self.interval(1.0) + self.attempt / 2


@dataclass(frozen=True, slots=True)
class Renew:
    """To be done: write the own Lease. No answer ``within`` so many seconds is a failure."""

    within: float


@dataclass(frozen=True, slots=True)
class Members:
    """The nodes that are alive, which are others than before."""

    alive: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What Leases are like now, by the name of their node; None for one that is gone.

    A list of all of them is in no order, and has to be told in one go: our own renewal in it may
    come before an older one of another.
    """

    leases: Mapping[str, Lease | None]


@dataclass(frozen=True, slots=True)
class Renewed:
    """An answer: the own Lease was written."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or an error. The write may have been carried out."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The Leases can't be watched for now."""


Effect = Renew | Members
Input = Seen | Renewed | Failed | Unreachable


def node_of(lease: Lease) -> str:
    """Return the node that a Lease speaks for; empty for a Lease that is no speaker's."""
    if any(lease.metadata.label(name) != value for name, value in LABELS.items()):
        return ""
    name = lease.metadata.name
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""


@dataclass(frozen=True, slots=True)
class _Other:
    """Another node's Lease, which has looked like this ``since`` then."""

    spec: LeaseSpec
    since: float
    alive: bool = True


@dataclass(frozen=True, slots=True)
class _Sent:
    """A renewal of ours that has not come back yet."""

    renew_time: str
    at: float


class Leases:
    """What one speaker knows of all."""

    def __init__(self, node: str, timing: Timing, now: float) -> None:
        self._node = node
        self._timing = timing
        self._others: dict[str, _Other] = {}
        self._alive = frozenset({node})
        self._away = True  # whether the API server was, since a renewal of ours came back
        self._sent: _Sent | None = None
        self._returned = now  # when the last renewal that came back was sent
        self._due = now
        self._failures = 0
        self._chance = 0.0

    @property
    def alive(self) -> frozenset[str]:
        """The nodes that are alive, the own one among them."""
        return self._alive

    def next_deadline(self) -> float:
        """Return when ``handle_timeout`` is due, unless an answer is awaited."""
        return self._due

    def handle_timeout(self, now: float, chance: float) -> tuple[Effect, ...]:
        """Renew the own Lease, where it is time to. ``chance`` is a random number in [0, 1)."""
        if now < self._due:
            return ()
        self._chance = chance
        self._due = now + self._timing.interval(chance)
        return (Renew(self._timing.attempt),)

    def renewing(self, renew_time: str, now: float) -> None:
        """Take note that the own Lease is written with this ``renewTime``, and not before now."""
        self._sent = _Sent(renew_time, now)

    def receive(self, news: Input, now: float) -> tuple[Effect, ...]:
        """Take what was seen, or the answer to the last Renew."""
        match news:
            case Seen(leases):
                self._look(leases, now)
            case Renewed():
                self._failures = 0
            case Failed():
                self._away = True
                self._failures += 1
                self._due = now + RETRY.delay(self._failures, self._chance)
            case Unreachable():
                self._away = True
            case _:
                assert_never(news)
        alive = frozenset(node for node, other in self._others.items() if other.alive)
        alive |= {self._node}
        if alive == self._alive:
            return ()
        self._alive = alive
        return (Members(alive),)

    def _look(self, leases: Mapping[str, Lease | None], now: float) -> None:
        for node, lease in leases.items():
            if node == self._node:
                self._look_at_own(lease, now)
            else:
                self._look_at(node, lease, now)

    def _look_at(self, node: str, lease: Lease | None, now: float) -> None:
        if lease is None or not lease.holder:
            self._others.pop(node, None)
            return
        known = self._others.get(node)
        if known is None or known.spec != lease.spec:  # else it is no renewal, but somebody's label
            self._others[node] = _Other(lease.spec, now)

    def _look_at_own(self, lease: Lease | None, now: float) -> None:
        if lease is None or not lease.holder:  # somebody thinks that we are gone
            self._due = min(self._due, now + RETRY.first)
        elif self._sent is not None and lease.spec.renew_time == self._sent.renew_time:
            sent, self._sent = self._sent, None
            self._judge(sent.at, now)
            self._returned = sent.at

    def _judge(self, sent_at: float, now: float) -> None:
        """Say who is gone, now that a renewal of ours came back."""
        if self._away or sent_at - self._returned > self._timing.pause:
            self._away = False
            self._others = {node: replace(other, since=now) for node, other in self._others.items()}
            return
        for node, other in self._others.items():
            if other.alive and sent_at - other.since >= self._duration(other):
                self._others[node] = replace(other, alive=False)

    def _duration(self, other: _Other) -> int:
        """Return how long a Lease lasts, which its holder says, within reason."""
        said = other.spec.lease_duration_seconds or 0
        return min(max(self._timing.duration, said), LONGEST)
