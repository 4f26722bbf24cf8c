"""Leader election with a Lease (coordination.k8s.io/v1): client-go's rules, without I/O or clock.

Theory of operation. One candidate at a time holds the Lease and renews it. The others read it; one
that has observed no renewal for the Lease's duration acquires it. Every write names the version
that it replaces, so of two concurrent writes one gets a conflict, and its candidate reads again. A
leader whose last renewal was *sent* longer ago than the deadline no longer leads, whether or not
the renewal was answered. The deadline is shorter than the duration, and a candidate counts the time
since it *observed* the last renewal, on its own clock. So the old leader has stopped before another
candidate starts to lead, and the requests that it sent last have the time between the two to
arrive. The times in the Lease are informational: no clock is compared with another one.

Stricter than client-go in three points, as an address that is assigned twice costs more than a
wait:

- A candidate that lost the Lease, or has a write that may or may not have arrived, waits as every
  other candidate does, even where the Lease names it as the holder.
- While the API server is unreachable no candidate can renew, so that time does not count.
- A Lease that does not exist, or was deleted, has to be absent for a whole duration, too.

A Lease with an empty holder was released in order; any candidate may acquire it at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from metallb_py.kube.objects import Lease


@dataclass(frozen=True, slots=True)
class Durations:
    """Times of the election, in seconds.

    A standby replaces a leader that crashed within ``lease + poll`` and one request.
    """

    lease: int = 2
    """Time that a candidate waits for the next renewal; whole seconds, as in the API."""
    deadline: float = 1.4
    """Time that a leader leads after it sent its last renewal; must be shorter than ``lease``."""
    renew: float = 0.5
    """Interval between the writes of a leader."""
    poll: float = 0.25
    """Interval between the reads of a candidate."""
    attempt: float = 0.7
    """Timeout of a request."""

    @classmethod
    def for_lease(cls, seconds: int) -> Durations:
        """Return the durations in proportion to another duration of the lease."""
        d = cls()
        by = seconds / d.lease
        return cls(seconds, d.deadline * by, d.renew * by, d.poll * by, d.attempt * by)


@dataclass(frozen=True, slots=True)
class Read:
    """Effect: read the Lease. No answer ``within`` this number of seconds is a failure."""

    within: float


@dataclass(frozen=True, slots=True)
class Write:
    """Effect: replace one version of the Lease, or create it."""

    within: float
    """Timeout in seconds; no answer within it is a failure."""
    holder: str
    """``holderIdentity``; empty to release the Lease."""
    transitions: int
    """``leaseTransitions``."""
    acquired: str | None
    """``acquireTime``; None for the time of writing."""
    version: str
    """``resourceVersion`` to replace; empty to create the Lease."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Effect: lead until then (monotonic seconds). Returned at the start and with every renewal."""

    until: float


@dataclass(frozen=True, slots=True)
class LeadershipLost:
    """Effect: stop leading now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Effect: another candidate, ``holder``, holds the Lease. Returned once for each holder."""

    holder: str


@dataclass(frozen=True, slots=True)
class Found:
    """Answer: the Lease as it was read or written."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Absent:
    """Answer: the Lease does not exist."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Answer: another client wrote first."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or another error. A write may have been carried out all the same."""


Effect = Read | Write | Lead | LeadershipLost | Follow
Answer = Found | Absent | Conflict | Failed


@dataclass(frozen=True, slots=True)
class _Unknown:
    """State: the Lease has not been read, or may have changed since."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """State: the Lease (None: it does not exist) has not changed ``since`` then."""

    lease: Lease | None
    since: float


@dataclass(frozen=True, slots=True)
class _Leading:
    """State: the Lease is ours, and leadership lasts ``until`` then."""

    lease: Lease
    until: float


class Election:
    """One candidate. Times are monotonic seconds.

    At most one Read or Write is outstanding; its answer goes to ``receive``.
    """

    def __init__(self, identity: str, durations: Durations, now: float) -> None:
        self._identity = identity
        self._durations = durations
        self._state: _Unknown | _Waiting | _Leading = _Unknown()
        self._outstanding: Read | Write | None = None
        self._requested_at = now
        self._next = now
        self._reported_holder = ""

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due; None while an answer is outstanding."""
        if self._outstanding is not None:
            return None
        if isinstance(self._state, _Leading):
            return min(self._next, self._state.until)
        return self._next

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Read, renew, or stop leading; return no effects before the deadline."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return ()
        if isinstance(self._state, _Leading) and now >= self._state.until:
            return self._lose("the lease could not be renewed in time", now)
        if isinstance(self._state, _Leading):
            return self._renew(self._state, now)
        if isinstance(self._state, _Waiting) and now >= self._expiry(self._state):
            # No read before: a renewal in the meantime changed the version, which is a conflict.
            return self._request(self._write(self._state.lease), now)
        return self._request(Read(self._durations.attempt), now)

    def receive(self, answer: Answer, now: float) -> tuple[Effect, ...]:
        """Process the answer to the last Read or Write."""
        request, self._outstanding = self._outstanding, None
        wrote = isinstance(request, Write)
        if isinstance(answer, Absent) and isinstance(request, Write) and not request.version:
            answer = Failed()  # it can't be created: its namespace does not exist
        if isinstance(self._state, _Leading):
            if now >= self._state.until:
                return self._lose("the lease could not be renewed in time", now)
            return self._receive_as_leader(self._state, answer, now, wrote=wrote)
        match answer:
            case Found(lease) if wrote and now < self._requested_at + self._durations.deadline:
                return self._hold(lease)
            case Found(lease):
                return (*self._report_holder(lease.holder), *self._observe(lease, now))
            case Absent():
                return self._observe(None, now)
            case Conflict():
                return self._request(Read(self._durations.attempt), now)
            case Failed():
                self._state = _Unknown()
                self._next = max(now, self._requested_at + self._durations.poll)
            case _:
                assert_never(answer)
        return ()

    def release(self, now: float) -> tuple[Effect, ...]:
        """Release the Lease, if it is ours; the answer to the Write has no effect.

        To be called only after everything that needs leadership has ended.
        """
        state = self._state
        if not isinstance(state, _Leading) or now >= state.until:
            return ()
        write = replace(self._write(state.lease), holder="")
        self._state = _Unknown()
        return self._request(write, now)

    def _receive_as_leader(
        self, state: _Leading, answer: Answer, now: float, *, wrote: bool
    ) -> tuple[Effect, ...]:
        match answer:
            case Found(lease) if wrote:
                return self._hold(lease)
            case Found(lease) if lease.holder == self._identity:
                return self._renew(replace(state, lease=lease), now)
            case Found(lease):
                other = f"{lease.holder or 'no candidate'} holds the lease"
                return (*self._lose(other, now), *self._report_holder(lease.holder))
            case Absent():  # deleted by another client; candidates wait, so it can be recreated
                return self._request(replace(self._write(state.lease), version=""), now)
            case Conflict():
                return self._request(Read(self._leader_timeout(now)), now)
            case Failed():
                self._next = max(now, self._requested_at + self._durations.poll)
                return ()
            case _:
                assert_never(answer)

    def _observe(self, lease: Lease | None, now: float) -> tuple[Effect, ...]:
        """Wait for a renewal; acquire the Lease if none came, or if it has no holder."""
        state = self._state
        same = isinstance(state, _Waiting) and _spec(state.lease) == _spec(lease)
        since = state.since if isinstance(state, _Waiting) and same else now
        self._state = _Waiting(lease, since)
        expiry = self._expiry(self._state)
        released = lease is not None and not lease.holder
        if released or now >= expiry:
            return self._request(self._write(lease), now)
        self._next = min(max(now, self._requested_at + self._durations.poll), expiry)
        return ()

    def _hold(self, lease: Lease) -> tuple[Effect, ...]:
        until = self._requested_at + self._durations.deadline
        self._state = _Leading(lease, until)
        self._next = self._requested_at + self._durations.renew
        self._reported_holder = self._identity
        return (Lead(until),)

    def _lose(self, reason: str, now: float) -> tuple[Effect, ...]:
        self._state = _Unknown()
        self._next = now
        return (LeadershipLost(reason),)

    def _renew(self, state: _Leading, now: float) -> tuple[Effect, ...]:
        return self._request(
            replace(self._write(state.lease), within=self._leader_timeout(now)), now
        )

    def _write(self, lease: Lease | None) -> Write:
        """Return the write that acquires or renews the Lease."""
        attempt = self._durations.attempt
        if lease is None:
            return Write(attempt, self._identity, 0, None, "")
        ours = isinstance(self._state, _Leading)
        return Write(
            attempt,
            self._identity,
            (lease.spec.lease_transitions or 0) + (not ours),
            lease.spec.acquire_time if ours else None,
            lease.metadata.resource_version,
        )

    def _request(self, effect: Read | Write, now: float) -> tuple[Effect, ...]:
        self._outstanding = effect
        self._requested_at = now
        return (effect,)

    def _leader_timeout(self, now: float) -> float:
        """Return the timeout of a leader's request: never longer than it leads."""
        left = self._state.until - now if isinstance(self._state, _Leading) else 0.0
        return max(0.0, min(self._durations.attempt, left))

    def _expiry(self, waiting: _Waiting) -> float:
        """Return when the Lease expires unless renewed; the longer of both durations applies."""
        stated = waiting.lease.spec.lease_duration_seconds if waiting.lease is not None else None
        return waiting.since + max(self._durations.lease, stated or 0)

    def _report_holder(self, holder: str) -> tuple[Effect, ...]:
        if holder == self._reported_holder:
            return ()
        self._reported_holder = holder
        return (Follow(holder),) if holder not in ("", self._identity) else ()


def _spec(lease: Lease | None) -> object:
    return None if lease is None else lease.spec
