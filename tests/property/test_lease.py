"""Leader election among several candidates with delays, losses, pauses and crashes."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from random import Random

import msgspec
import pytest

from metallb_py.kube.leader_election import (
    Absent,
    Answer,
    Conflict,
    Durations,
    Effect,
    Election,
    Failed,
    Found,
    Lead,
    LeadershipLost,
    Read,
    Write,
)
from metallb_py.kube.objects import Lease, LeaseSpec, ObjectMeta

CANDIDATES = 3
SECONDS = 120.0


class World:
    """A clock, and an API server with one Lease."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        self.lease: Lease | None = None
        self._versions = count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(when, self.now), next(self._order), act))

    def run(self, until: float) -> None:
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, act = heapq.heappop(self._agenda)
            act()

    def answer(self, request: Read | Write) -> Answer:
        if isinstance(request, Read):
            return Found(self.lease) if self.lease else Absent()
        version = self.lease.metadata.resource_version if self.lease else ""
        if request.version != version:
            return Conflict() if self.lease else Absent()
        number = str(next(self._versions))
        # A meaningless clock, whose values never repeat.
        stamp = f"{self.random.randrange(1000)}.{number}"
        spec = LeaseSpec(request.holder, 2, request.acquired or stamp, stamp, request.transitions)
        self.lease = Lease(ObjectMeta("x", resource_version=number), spec)
        return Found(self.lease)


class Candidate:
    """A candidate that performs its election's effects over a lossy network with delays."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.until = 0.0
        self.gained: list[float] = []
        self._frozen_until = 0.0
        self._life = 0
        self._begin()

    def _begin(self) -> None:
        self._life += 1
        self._election = Election(f"{self.name}.{self._life}", Durations(), self.world.now)
        self.until = 0.0
        self._tick(self._life)

    def crash(self) -> None:
        self._life += 1
        self.until = 0.0
        self.world.at(self.world.now + self.world.random.uniform(0, 5), self._begin)

    def freeze(self, seconds: float) -> None:
        """Pause the process; it continues with its former state afterwards."""
        self._frozen_until = self.world.now + seconds

    def _tick(self, life: int) -> None:
        self._awake(life, lambda: self._perform(self._election.handle_timeout(self.world.now)))

    def _awake(self, life: int, act: Callable[[], None]) -> None:
        if life != self._life:
            return
        if self.world.now < self._frozen_until:
            self.world.at(self._frozen_until, lambda: self._awake(life, act))
            return
        act()
        deadline = self._election.next_deadline()
        if deadline is not None:
            self.world.at(deadline, lambda: self._tick(life))

    def _perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Read() | Write():
                    self._send(effect)
                case Lead(until):
                    if self.until <= self.world.now:
                        self.gained.append(self.world.now)
                    self.until = until
                case LeadershipLost():
                    self.until = 0.0

    def _send(self, request: Read | Write) -> None:
        world, life, random = self.world, self._life, self.world.random
        pending = [True]

        def receive(answer: Answer) -> None:
            if pending[0]:
                pending[0] = False
                self._awake(
                    life, lambda: self._perform(self._election.receive(answer, self.world.now))
                )

        def serve() -> None:
            answer = world.answer(request)
            if random.random() > 0.05:
                world.at(world.now + random.expovariate(20), lambda: receive(answer))

        if random.random() > 0.05:
            # Rarely later than the candidate's timeout: writes take effect even then.
            late = random.uniform(0, 5) if random.random() < 0.02 else random.expovariate(30)
            world.at(world.now + late, serve)
        world.at(world.now + request.within, lambda: receive(Failed()))


@pytest.mark.parametrize("seed", range(150))
def test_leader_election_has_at_most_one_leader_and_mostly_one(seed: int) -> None:
    random = Random(seed)
    world = World(random)
    candidates = [Candidate(world, f"c{number}") for number in range(CANDIDATES)]
    led = 0.0
    step = 0.01
    for number in range(int(SECONDS / step)):
        world.run(number * step)
        leaders = [c for c in candidates if c.until > number * step]
        assert len(leaders) <= 1, f"at {number * step:.2f}: {[c.name for c in leaders]}"
        led += step * len(leaders)
        if random.random() < step / 10:
            random.choice(leaders or candidates).crash()
        if random.random() < step / 10:
            random.choice(leaders or candidates).freeze(random.uniform(0, 6))
    assert sum(len(c.gained) for c in candidates) > 5
    assert led > SECONDS / 4


def test_lease_object_of_the_api_server_is_decoded() -> None:
    text = b"""{"metadata": {"name": "x", "resourceVersion": "5"}, "spec": {"holderIdentity": "a",
    "leaseDurationSeconds": 2, "acquireTime": "2026-01-01T00:00:00.000000Z",
    "renewTime": "2026-01-01T00:00:00.000000Z", "leaseTransitions": 1}}"""
    lease = msgspec.json.decode(text, type=Lease)
    assert (lease.holder, lease.spec.lease_duration_seconds) == ("a", 2)
    released = msgspec.json.decode(b'{"metadata": {"name": "x"}, "spec": {}}', type=Lease)
    assert released.holder == ""
