"""Many speakers and their Leases, where the API server goes away, hangs, and is slow."""

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
    Leases,
    Members,
    Renew,
    Renewed,
    Seen,
    Timing,
    Unreachable,
)

T = Timing()
BUSY = 80.0
"""Until then something happens, from then on nothing does."""
CALM = 30.0
LATE = 0.4
"""How late a message is at most, on a good day."""
SLOW = 0.6
"""How late one is while the API server is slow: then a renewal may take longer than an attempt."""
AWFUL = 2.0
"""How late one is while some renew in time by luck, and some do not."""
# When a watch is taken up again, and until a renewal succeeds, after trouble.
RESUMED = 2.0
RECOVERED = RESUMED + 1.5 + 2 * T.attempt + 2 * LATE
# When who stopped is gone, unless there is trouble.
GONE = T.duration + T.interval(1.0) + 3 * LATE


class Kind(Enum):
    """What is wrong with the API server."""

    REFUSES = auto()
    HANGS = auto()
    SLOW = auto()


@dataclass(frozen=True)
class Trouble:
    """Something is wrong for everybody, or for one."""

    kind: Kind
    start: float
    seconds: float
    whose: str = ""
    lateness: float = SLOW

    @property
    def end(self) -> float:
        return self.start + self.seconds

    def concerns(self, node: str, now: float) -> bool:
        return self.whose in ("", node) and self.start <= now < self.end


class World:
    """Time, and an API server that tells every change, in order."""

    def __init__(self, random: Random, troubles: list[Trouble], lost: float) -> None:
        self.random = random
        self.lost = lost  # what part of the answers
        self.now = 0.0
        self.troubles = troubles
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

    def trouble(self, node: str) -> Trouble | None:
        return next((t for t in self.troubles if t.concerns(node, self.now)), None)

    def lateness(self, node: str) -> float:
        trouble = self.trouble(node)
        if trouble is not None and trouble.kind is Kind.SLOW:
            return self.random.uniform(0, trouble.lateness)
        return min(self.random.expovariate(30), LATE)

    def version(self, node: str) -> int:
        lease = self.leases.get(node)
        return int(lease.metadata.resource_version) if lease is not None else 0

    def write(self, node: str, version: int, renew_time: str) -> bool:
        """Renew a Lease; refuse where it has another version than the writer thinks."""
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
    """Performs what its machine wants, and watches. ``drops``: whom it thought gone, and when."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.running = True
        self.frozen_until = 0.0
        self.drops: list[tuple[float, str]] = []
        self._machine = Leases(name, T, world.now)
        self._told = self._machine.alive
        self._position = len(world.log)  # of what it was told, in the log
        self._version = world.version(name)  # a crashed one's, which is found at once
        self._stamp = ""
        self._unanswered: set[str] = set()
        self._stamps = count(len(world.log))
        self._answered = True
        world.speakers[name] = self
        self._perform(self._machine.receive(Seen(dict(world.leases)), world.now))
        for trouble in world.troubles:
            if trouble.whose in ("", name) and trouble.kind is not Kind.SLOW:
                if trouble.kind is Kind.REFUSES:
                    world.at(trouble.start, lambda: self._receive(Unreachable()))
                resumed = trouble.end + world.random.uniform(0, RESUMED)
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
        """Be told of the log up to there, some time from now, as far as anything is told."""
        late = self.world.lateness(self.name)
        self.world.at(self.world.now + late, lambda: self._awake(lambda: self._hear(position)))

    def _hear(self, position: int) -> None:
        trouble = self.world.trouble(self.name)
        if trouble is not None and trouble.kind is not Kind.SLOW:
            return
        news = self.world.log[self._position : position]
        self._position = max(self._position, position)
        for node, lease in news:
            if node == self.name and lease and lease.spec.renew_time in self._unanswered:
                self._version = int(lease.metadata.resource_version)
        if self.world.random.random() < 0.2:  # as a list, in no order
            latest = list(dict(news).items())
            self.world.random.shuffle(latest)
            self._receive(Seen(dict(latest)))
            return
        for node, lease in news:
            self._receive(Seen({node: lease}))

    def _receive(self, news: Input) -> None:
        self._awake(lambda: self._perform(self._machine.receive(news, self.world.now)))

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
                chance = self.world.random.random()
                self._perform(self._machine.handle_timeout(self.world.now, chance))
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
                case Members(alive):
                    self.drops += [(self.world.now, node) for node in self._told - alive]
                    self._told = alive

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
        trouble = world.trouble(self.name)
        if trouble is not None and trouble.kind is Kind.REFUSES:
            world.at(world.now, lambda: self._end(stamp, Failed()))
        elif trouble is None or trouble.kind is Kind.SLOW:
            world.at(world.now + world.lateness(self.name), lambda: self._serve(stamp, version))
        elif world.random.random() < 0.3:  # it arrives when all is well again
            world.at(trouble.end, lambda: self._serve(stamp, version))

    def _serve(self, stamp: str, version: int) -> None:
        """What the API server does."""
        world = self.world
        done = world.write(self.name, version, stamp)
        now = world.version(self.name)
        if world.random.random() >= world.lost:
            late = world.now + world.lateness(self.name)
            world.at(late, lambda: self._awake(lambda: self._answer(stamp, now, done=done)))

    def _answer(self, stamp: str, version: int, *, done: bool) -> None:
        if stamp == self._stamp and not self._answered:
            self._version = version
            if done:
                self._unanswered.clear()
                self._end(stamp, Renewed())
            else:  # on top of what is there
                self._send()

    def _end(self, stamp: str, answer: Renewed | Failed) -> None:
        if stamp == self._stamp and not self._answered:
            self._answered = True
            self._receive(answer)


def troubles(
    whose: st.SearchStrategy[str], since: float = 0.0, lateness: float = SLOW
) -> st.SearchStrategy[list[Trouble]]:
    """Draw troubles, one after the other, all over before it is calm."""
    drawn = st.tuples(st.sampled_from(Kind), st.floats(0, 10), st.floats(0.05, 15), whose)

    def lay_out(parts: list[tuple[Kind, float, float, str]]) -> list[Trouble]:
        found, now = [], since
        for kind, pause, seconds, node in parts:
            found.append(Trouble(kind, now + pause, seconds, node, lateness))
            now += pause + seconds
        return found

    return st.lists(drawn, max_size=3).map(lay_out)


NAMES = ("a", "b", "c", "d")
NUMBERS = st.integers(0, 2**32)


def began(number: int, found: list[Trouble], lost: float = 0.02) -> World:
    """Start all speakers, not quite at once."""
    world = World(Random(number), found, lost)
    for name in NAMES:
        world.at(world.random.uniform(0, 2), lambda name=name: Speaker(world, name))
    return world


def drops_of(world: World, node: str) -> list[float]:
    """Return when anybody else thought that a node is gone."""
    others = (speaker for name, speaker in world.speakers.items() if name != node)
    return [when for speaker in others for when, who in speaker.drops if who == node]


@given(number=NUMBERS, found=troubles(st.just("")), naps=st.lists(st.floats(5, BUSY), max_size=4))
def test_nobody_who_renews_is_ever_declared_gone(
    number: int, found: list[Trouble], naps: list[float]
) -> None:
    """Not in an outage, not after it, not by one that stood still itself."""
    world = began(number, found)
    for nap in naps:
        world.at(nap, lambda: world.speakers["a"].freeze(world.random.uniform(0, 20)))
    world.run(BUSY + CALM)
    assert [drops_of(world, name) for name in NAMES[1:]] == [[], [], []]
    assert {speaker.alive for speaker in world.speakers.values()} == {frozenset(NAMES)}


@given(number=NUMBERS, found=troubles(st.just(""), 5.0), crash=st.floats(5, BUSY))
def test_whoever_stops_is_gone_in_time_and_nobody_else(
    number: int, found: list[Trouble], crash: float
) -> None:
    world = began(number, found, lost=0.0)
    world.run(crash)
    world.speakers["b"].crash()
    world.run(BUSY + CALM)
    renewed = world.commits["b"][-1]  # perhaps its last words were under way
    gone = drops_of(world, "b")
    assert len(gone) == len(NAMES) - 1
    assert min(gone) >= renewed + T.duration
    limit = renewed + GONE
    for trouble in found:
        if trouble.start <= limit:
            limit = max(limit, trouble.end + RECOVERED + GONE)
    assert max(gone) <= limit
    assert {s.alive for s in world.speakers.values() if s.running} == {frozenset("acd")}


@given(
    number=NUMBERS,
    found=troubles(st.sampled_from(["", *NAMES]), lateness=AWFUL),
    when=st.floats(5, BUSY),
)
def test_only_who_did_not_renew_is_dropped_and_all_agree_in_the_end(
    number: int, found: list[Trouble], when: float
) -> None:
    """Where some reach the API server and others do not; one leaves, one comes back."""
    world = began(number, found)
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
