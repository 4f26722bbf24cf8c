"""Failure detection by Leases while the API server is unreachable, hangs or is slow."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count, pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from metallb_py.kube.objects import Lease, LeaseSpec, ObjectMeta
from speaker.membership.lease_detector import (
    LABELS,
    Effect,
    Failed,
    Input,
    LeaseFailureDetector,
    LeasesObserved,
    MembersChanged,
    Renew,
    Renewed,
    Timing,
    Unreachable,
)

T = Timing()
BUSY = 80.0
"""End of the outages and of the other events of a run, in seconds."""
CALM = 30.0
"""Seconds without events at the end of a run."""
LATE = 0.4
"""Maximum delay of a message in normal operation, in seconds."""
SLOW = 0.6
"""Maximum delay while the API server is slow: a renewal may take longer than an attempt."""
VERY_SLOW = 2.0
"""Maximum delay at which only some speakers renew in time."""
RESUMED = 2.0
"""Maximum seconds after an outage until a watch is resumed."""
RECOVERED = RESUMED + 1.5 + 2 * T.attempt + 2 * LATE
"""Maximum seconds after an outage until a renewal succeeds."""
DETECTED = T.duration + T.interval(1.0) + 3 * LATE
"""Maximum seconds from the last renewal of a stopped speaker to its detection, without outages."""


class Kind(Enum):
    """Failure mode of the API server."""

    REFUSES = auto()
    HANGS = auto()
    SLOW = auto()


@dataclass(frozen=True)
class Outage:
    """A failure of the API server for one speaker or for all."""

    kind: Kind
    """Failure mode."""
    start: float
    """Start time."""
    seconds: float
    """Duration."""
    node: str = ""
    """Node of the affected speaker; empty for all."""
    max_delay: float = SLOW
    """Maximum delay of messages in mode SLOW, in seconds."""

    @property
    def end(self) -> float:
        return self.start + self.seconds

    def affects(self, node: str, now: float) -> bool:
        return self.node in ("", node) and self.start <= now < self.end


class World:
    """A clock, and an API server that sends every change, in order."""

    def __init__(self, random: Random, outages: list[Outage], lost: float) -> None:
        self.random = random
        self.lost = lost  # share of the responses
        self.now = 0.0
        self.outages = outages
        self.log: list[tuple[str, Lease | None]] = []
        self.leases: dict[str, Lease] = {}
        self.commits: dict[str, list[float]] = {}
        self.speakers: dict[str, Speaker] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(when, self.now), next(self._order), act))

    def run(self, until: float) -> None:
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, act = heapq.heappop(self._agenda)
            act()
        self.now = until

    def outage(self, node: str) -> Outage | None:
        return next((each for each in self.outages if each.affects(node, self.now)), None)

    def delay(self, node: str) -> float:
        outage = self.outage(node)
        if outage is not None and outage.kind is Kind.SLOW:
            return self.random.uniform(0, outage.max_delay)
        return min(self.random.expovariate(30), LATE)

    def version(self, node: str) -> int:
        lease = self.leases.get(node)
        return int(lease.metadata.resource_version) if lease is not None else 0

    def write(self, node: str, version: int, renew_time: str) -> bool:
        """Renew a Lease; refuse if its resource version is not the given one."""
        if version != self.version(node):
            return False
        number = str(len(self.log) + 1)
        meta = ObjectMeta(f"speaker-{node}", labels=dict(LABELS), resource_version=number)
        spec = LeaseSpec(f"{node}_1", T.duration, None, renew_time)
        self._change(node, Lease(metadata=meta, spec=spec))
        self.commits.setdefault(node, []).append(self.now)
        return True

    def delete(self, node: str) -> None:
        if node in self.leases:
            self._change(node, None)

    def _change(self, node: str, lease: Lease | None) -> None:
        self.log.append((node, lease))
        if lease is None:
            del self.leases[node]
        else:
            self.leases[node] = lease
        for speaker in self.speakers.values():
            speaker.expect(len(self.log))


class Speaker:
    """A driver that performs its machine's effects, and watches.

    ``drops``: time and node of each member that it declared gone.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.running = True
        self.frozen_until = 0.0
        self.drops: list[tuple[float, str]] = []
        self._machine = LeaseFailureDetector(name, T, world.now)
        self._reported_alive = self._machine.alive
        self._position = len(world.log)  # of the last delivered change, in the log
        self._version = world.version(name)  # that of a crashed predecessor, which is found at once
        self._stamp = ""
        self._unanswered: set[str] = set()
        self._stamps = count(len(world.log))
        self._answered = True
        world.speakers[name] = self
        self._perform(self._machine.receive(LeasesObserved(dict(world.leases)), world.now))
        for outage in world.outages:
            if outage.node in ("", name) and outage.kind is not Kind.SLOW:
                if outage.kind is Kind.REFUSES:
                    world.at(outage.start, lambda: self._receive(Unreachable()))
                resumed = outage.end + world.random.uniform(0, RESUMED)
                world.at(resumed, lambda: self.expect(len(world.log)))
        self._tick()

    @property
    def alive(self) -> frozenset[str]:
        return self._machine.alive

    def freeze(self, seconds: float) -> None:
        self.frozen_until = self.world.now + seconds

    def crash(self) -> None:
        self.running = False

    def leave(self) -> None:
        self.running = False
        self.world.delete(self.name)

    def expect(self, position: int) -> None:
        """Schedule the delivery of the log up to a position, unless an outage prevents it."""
        delay = self.world.delay(self.name)
        self.world.at(self.world.now + delay, lambda: self._awake(lambda: self._deliver(position)))

    def _deliver(self, position: int) -> None:
        outage = self.world.outage(self.name)
        if outage is not None and outage.kind is not Kind.SLOW:
            return
        changes = self.world.log[self._position : position]
        self._position = max(self._position, position)
        for node, lease in changes:
            if node == self.name and lease and lease.spec.renew_time in self._unanswered:
                self._version = int(lease.metadata.resource_version)
        if self.world.random.random() < 0.2:  # as a list, in random order
            latest = list(dict(changes).items())
            self.world.random.shuffle(latest)
            self._receive(LeasesObserved(dict(latest)))
            return
        for node, lease in changes:
            self._receive(LeasesObserved({node: lease}))

    def _receive(self, message: Input) -> None:
        self._awake(lambda: self._perform(self._machine.receive(message, self.world.now)))

    def _awake(self, act: Callable[[], None]) -> None:
        if not self.running:
            return
        if self.world.now < self.frozen_until:
            self.world.at(self.frozen_until, lambda: self._awake(act))
            return
        act()

    def _tick(self) -> None:
        def act() -> None:
            if self._answered:
                random_fraction = self.world.random.random()
                self._perform(self._machine.handle_timeout(self.world.now, random_fraction))
            self._wait()

        self._awake(act)

    def _wait(self) -> None:
        due = self._machine.next_deadline()
        self.world.at(max(due, self.world.now + 0.05), self._tick)

    def _perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Renew(within):
                    self._write(within)
                case MembersChanged(alive):
                    self.drops += [(self.world.now, node) for node in self._reported_alive - alive]
                    self._reported_alive = alive

    def _write(self, within: float) -> None:
        self._stamp = f"{self.name}{next(self._stamps)}"
        self._machine.renewing(self._stamp, self.world.now)
        self._unanswered.add(self._stamp)
        self._answered = False
        stamp = self._stamp
        late = self.world.now + within
        self.world.at(late, lambda: self._awake(lambda: self._end(stamp, Failed())))
        self._send()

    def _send(self) -> None:
        world, stamp, version = self.world, self._stamp, self._version
        outage = world.outage(self.name)
        if outage is not None and outage.kind is Kind.REFUSES:
            world.at(world.now, lambda: self._end(stamp, Failed()))
        elif outage is None or outage.kind is Kind.SLOW:
            world.at(world.now + world.delay(self.name), lambda: self._serve(stamp, version))
        elif world.random.random() < 0.3:  # it arrives after the outage
            world.at(outage.end, lambda: self._serve(stamp, version))

    def _serve(self, stamp: str, version: int) -> None:
        """Handle the request on the API server, and send the response."""
        world = self.world
        done = world.write(self.name, version, stamp)
        now = world.version(self.name)
        if world.random.random() >= world.lost:
            late = world.now + world.delay(self.name)
            world.at(late, lambda: self._awake(lambda: self._answer(stamp, now, done=done)))

    def _answer(self, stamp: str, version: int, *, done: bool) -> None:
        if stamp == self._stamp and not self._answered:
            self._version = version
            if done:
                self._unanswered.clear()
                self._end(stamp, Renewed())
            else:  # on top of the current version
                self._send()

    def _end(self, stamp: str, answer: Renewed | Failed) -> None:
        if stamp == self._stamp and not self._answered:
            self._answered = True
            self._receive(answer)


def outages(
    nodes: st.SearchStrategy[str], since: float = 0.0, max_delay: float = SLOW
) -> st.SearchStrategy[list[Outage]]:
    """Draw outages, one after the other, all of which end before BUSY."""
    drawn = st.tuples(st.sampled_from(Kind), st.floats(0, 10), st.floats(0.05, 15), nodes)

    def lay_out(parts: list[tuple[Kind, float, float, str]]) -> list[Outage]:
        found, now = [], since
        for kind, pause, seconds, node in parts:
            found.append(Outage(kind, now + pause, seconds, node, max_delay))
            now += pause + seconds
        return found

    return st.lists(drawn, max_size=3).map(lay_out)


NAMES = ("a", "b", "c", "d")
NUMBERS = st.integers(0, 2**32)


def start_speakers(number: int, found: list[Outage], lost: float = 0.02) -> World:
    """Start all speakers within two seconds."""
    world = World(Random(number), found, lost)
    for name in NAMES:
        world.at(world.random.uniform(0, 2), lambda name=name: Speaker(world, name))
    return world


def drops_of(world: World, node: str) -> list[float]:
    """Return the times at which other speakers declared a node gone."""
    others = (speaker for name, speaker in world.speakers.items() if name != node)
    return [when for speaker in others for when, dropped in speaker.drops if dropped == node]


@given(number=NUMBERS, found=outages(st.just("")), freezes=st.lists(st.floats(5, BUSY), max_size=4))
def test_speaker_that_renews_its_lease_is_never_declared_gone(
    number: int, found: list[Outage], freezes: list[float]
) -> None:
    """Not during an outage, not after it, and not by a speaker that was paused itself."""
    world = start_speakers(number, found)
    for when in freezes:
        world.at(when, lambda: world.speakers["a"].freeze(world.random.uniform(0, 20)))
    world.run(BUSY + CALM)
    assert [drops_of(world, name) for name in NAMES[1:]] == [[], [], []]
    assert {speaker.alive for speaker in world.speakers.values()} == {frozenset(NAMES)}


@given(number=NUMBERS, found=outages(st.just(""), 5.0), crash=st.floats(5, BUSY))
def test_only_a_stopped_speaker_is_declared_gone_and_in_time(
    number: int, found: list[Outage], crash: float
) -> None:
    world = start_speakers(number, found, lost=0.0)
    world.run(crash)
    world.speakers["b"].crash()
    world.run(BUSY + CALM)
    renewed = world.commits["b"][-1]  # its last renewal may have been in transit
    drops = drops_of(world, "b")
    assert len(drops) == len(NAMES) - 1
    assert min(drops) >= renewed + T.duration
    limit = renewed + DETECTED
    for outage in found:
        if outage.start <= limit:
            limit = max(limit, outage.end + RECOVERED + DETECTED)
    assert max(drops) <= limit
    assert {s.alive for s in world.speakers.values() if s.running} == {frozenset("acd")}


@given(
    number=NUMBERS,
    found=outages(st.sampled_from(["", *NAMES]), max_delay=VERY_SLOW),
    when=st.floats(5, BUSY),
)
def test_only_expired_leases_drop_a_speaker_and_all_views_converge(
    number: int, found: list[Outage], when: float
) -> None:
    """While only some reach the API server, one speaker leaves and one restarts after a crash."""
    world = start_speakers(number, found)
    world.run(when)
    world.speakers["c"].leave()
    world.run(when + 1)
    world.speakers["d"].crash()
    world.run(when + 8)
    Speaker(world, "d")
    world.run(BUSY + CALM)
    for node in "abd":
        pauses = [(a, b) for a, b in pairwise(world.commits[node]) if b - a >= T.duration]
        for dropped in drops_of(world, node):
            assert any(a + T.duration <= dropped <= b + RECOVERED for a, b in pauses)
    assert {s.alive for s in world.speakers.values() if s.running} == {frozenset("abd")}
