"""Leader election by a Lease (coordination.k8s.io/v1): client-go's rules, with no I/O and no clock.

Theory of operation. One candidate at a time holds the Lease and renews it. The others read it; one
that has seen no renewal for the Lease's duration takes it over. Every write names the version that
it replaces, so of two that try at once one meets a conflict, and reads again. A leader whose last
renewal was *sent* longer ago than the deadline leads no longer, whether or not it was answered. The
deadline is shorter than the duration, and what a candidate counts is the time since it *saw* the
last renewal, on its own clock; so the old leader has ended before anybody else begins, and what it
sent last has the time between the two to arrive. The times in the Lease are for people: no clock is
compared with another's.

Where this is stricter than client-go, as an address that is given twice costs more than a wait:

- Whoever lost the Lease, or can't say whether its write arrived, waits as anybody else does, even
  where the Lease names it.
- While the API server can't be reached nobody can renew, so that time does not count.
- A Lease that is not there, or was deleted, has to be missing for a whole duration, too.

A Lease whose holder is empty was released in good order, and is anybody's at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from metallb_py.kube.objects import Lease


@dataclass(frozen=True, slots=True)
class Durations:
    """In seconds. A standby follows a crash within ``lease + poll`` and one request.

    ``lease``: how long a candidate waits for the next renewal; whole seconds, as the API has it.
    ``deadline``: how long a leader leads after it sent its last renewal. ``renew`` and ``poll``:
    between the writes of a leader, and the reads of a candidate. ``attempt``: how long an answer
    may take.
    """

    lease: int = 2
    deadline: float = 1.4
    renew: float = 0.5
    poll: float = 0.25
    attempt: float = 0.7

    @classmethod
    def for_lease(cls, seconds: int) -> Durations:
        """Stretch all of them to another duration of the lease."""
        d = cls()
        by = seconds / d.lease
        return cls(seconds, d.deadline * by, d.renew * by, d.poll * by, d.attempt * by)


@dataclass(frozen=True, slots=True)
class Read:
    """To be done: read the Lease. No answer ``within`` so many seconds is a failure."""

    within: float


@dataclass(frozen=True, slots=True)
class Write:
    """To be done: replace this version of the Lease, or create it where ``version`` is empty.

    ``acquired`` is the time to write as ``acquireTime``; None for the time of writing.
    """

    within: float
    holder: str
    transitions: int
    acquired: str | None
    version: str


@dataclass(frozen=True, slots=True)
class Lead:
    """Lead until then. Told when leading begins, and with every renewal."""

    until: float


@dataclass(frozen=True, slots=True)
class Lose:
    """Lead no longer, from now on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Another, whose name this is, holds the Lease; told once for each."""

    holder: str


@dataclass(frozen=True, slots=True)
class Found:
    """An answer: the Lease, as it was read or as it was written."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Absent:
    """An answer: there is no such Lease."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An answer: another wrote first."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or another error. A write may have been carried out."""


Effect = Read | Write | Lead | Lose | Follow
Answer = Found | Absent | Conflict | Failed


@dataclass(frozen=True, slots=True)
class _Blind:
    """Nothing is known of the Lease."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The Lease (None: there is none) has looked like this ``since`` then."""

    lease: Lease | None
    since: float


@dataclass(frozen=True, slots=True)
class _Leading:
    """The Lease is ours, and we may lead until then."""

    lease: Lease
    until: float


class Election:
    """One candidate. At most one Read or Write is under way; its answer goes to ``receive``."""

    def __init__(self, identity: str, durations: Durations, now: float) -> None:
        self._identity = identity
        self._durations = durations
        self._state: _Blind | _Waiting | _Leading = _Blind()
        self._asked: Read | Write | None = None
        self._asked_at = now
        self._next = now
        self._told = ""

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due; None while an answer is awaited."""
        if self._asked is not None:
            return None
        if isinstance(self._state, _Leading):
            return min(self._next, self._state.until)
        return self._next

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Read, renew, or give up leading; nothing where it is too early."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return ()
        if isinstance(self._state, _Leading) and now >= self._state.until:
            return self._lose("the lease could not be renewed in time", now)
        if isinstance(self._state, _Leading):
            return self._renew(self._state, now)
        if isinstance(self._state, _Waiting) and now >= self._expiry(self._state):
            # Not read before: if it was renewed after all, that is another version of it.
            return self._ask(self._write(self._state.lease), now)
        return self._ask(Read(self._durations.attempt), now)

    def receive(self, answer: Answer, now: float) -> tuple[Effect, ...]:
        """Take the answer to the last Read or Write."""
        asked, self._asked = self._asked, None
        wrote = isinstance(asked, Write)
        if isinstance(answer, Absent) and isinstance(asked, Write) and not asked.version:
            answer = Failed()  # it can't be created: not even its namespace is there
        if isinstance(self._state, _Leading):
            if now >= self._state.until:
                return self._lose("the lease could not be renewed in time", now)
            return self._receive_as_leader(self._state, answer, now, wrote=wrote)
        match answer:
            case Found(lease) if wrote and now < self._asked_at + self._durations.deadline:
                return self._hold(lease)
            case Found(lease):
                return (*self._tell(lease.holder), *self._look(lease, now))
            case Absent():
                return self._look(None, now)
            case Conflict():
                return self._ask(Read(self._durations.attempt), now)
            case Failed():
                self._state = _Blind()
                self._next = max(now, self._asked_at + self._durations.poll)
            case _:
                assert_never(answer)
        return ()

    def release(self, now: float) -> tuple[Effect, ...]:
        """Let go of the Lease, if it is ours; the Write's answer changes nothing any more.

        Only for who has ended everything that it did as the leader.
        """
        state = self._state
        if not isinstance(state, _Leading) or now >= state.until:
            return ()
        write = replace(self._write(state.lease), holder="")
        self._state = _Blind()
        return self._ask(write, now)

    def _receive_as_leader(
        self, state: _Leading, answer: Answer, now: float, *, wrote: bool
    ) -> tuple[Effect, ...]:
        match answer:
            case Found(lease) if wrote:
                return self._hold(lease)
            case Found(lease) if lease.holder == self._identity:
                return self._renew(replace(state, lease=lease), now)
            case Found(lease):
                other = f"{lease.holder or 'nobody'} holds the lease"
                return (*self._lose(other, now), *self._tell(lease.holder))
            case Absent():  # deleted by somebody; candidates wait, so it can be made anew
                return self._ask(replace(self._write(state.lease), version=""), now)
            case Conflict():
                return self._ask(Read(self._patience(now)), now)
            case Failed():
                self._next = max(now, self._asked_at + self._durations.poll)
                return ()
            case _:
                assert_never(answer)

    def _look(self, lease: Lease | None, now: float) -> tuple[Effect, ...]:
        """Wait for a renewal; take the Lease where none came, or where nobody holds it."""
        state = self._state
        same = isinstance(state, _Waiting) and _spec(state.lease) == _spec(lease)
        since = state.since if isinstance(state, _Waiting) and same else now
        self._state = _Waiting(lease, since)
        expiry = self._expiry(self._state)
        released = lease is not None and not lease.holder
        if released or now >= expiry:
            return self._ask(self._write(lease), now)
        self._next = min(max(now, self._asked_at + self._durations.poll), expiry)
        return ()

    def _hold(self, lease: Lease) -> tuple[Effect, ...]:
        until = self._asked_at + self._durations.deadline
        self._state = _Leading(lease, until)
        self._next = self._asked_at + self._durations.renew
        self._told = self._identity
        return (Lead(until),)

    def _lose(self, reason: str, now: float) -> tuple[Effect, ...]:
        self._state = _Blind()
        self._next = now
        return (Lose(reason),)

    def _renew(self, state: _Leading, now: float) -> tuple[Effect, ...]:
        return self._ask(replace(self._write(state.lease), within=self._patience(now)), now)

    def _write(self, lease: Lease | None) -> Write:
        """Return the write that makes the Lease ours, or keeps it so."""
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

    def _ask(self, effect: Read | Write, now: float) -> tuple[Effect, ...]:
        self._asked = effect
        self._asked_at = now
        return (effect,)

    def _patience(self, now: float) -> float:
        """Return how long a leader waits for an answer: never longer than it leads."""
        left = self._state.until - now if isinstance(self._state, _Leading) else 0.0
        return max(0.0, min(self._durations.attempt, left))

    def _expiry(self, waiting: _Waiting) -> float:
        """Return until when the Lease lasts, which its holder says, unless it is renewed."""
        said = waiting.lease.spec.lease_duration_seconds if waiting.lease is not None else None
        return waiting.since + max(self._durations.lease, said or 0)

    def _tell(self, holder: str) -> tuple[Effect, ...]:
        if holder == self._told:
            return ()
        self._told = holder
        return (Follow(holder),) if holder not in ("", self._identity) else ()


def _spec(lease: Lease | None) -> object:
    return None if lease is None else lease.spec
