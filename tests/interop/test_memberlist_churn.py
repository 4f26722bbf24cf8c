"""Members come and go, by leaving and by being killed, and nobody who lives is declared dead.

METALLB_PY_GOSSIP_MINUTES says for how long; without it, half a minute.

A process that gets no processor time is dead to SWIM, so the machine is ours alone (``punctual``),
and where it starved this very program, the next deaths are no evidence.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest
from support.memberlist_peer import CURRENT, OLDEST, OURS, Change, Happened, Options, Peer, peer
from support.running import while_running
from support.segment import Host, Segment

pytestmark = [pytest.mark.interop, pytest.mark.punctual]

MINUTES = float(os.environ.get("METALLB_PY_GOSSIP_MINUTES", "0.5"))
GUESTS = 6
STAY = (1.0, 5.0)
PAUSE = 1.0
"""Seconds; shorter than anybody's suspicion."""
TICK = 0.1
AFTERMATH = 10.0
"""Seconds in which members that starved are suspected and given up."""


@dataclass(slots=True)
class Life:
    """When a member of this name lived, in seconds of Unix time."""

    name: str
    born: float
    ended: float = float("inf")


@dataclass(slots=True)
class Cluster:
    """Who takes part, and who did."""

    residents: list[Peer] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    deaths: list[Happened] = field(default_factory=list)
    starved: list[tuple[float, float]] = field(default_factory=list)
    detection: dict[str, list[float]] = field(default_factory=lambda: {"left": [], "dead": []})

    def marks(self) -> list[int]:
        """Return how far the residents are in what they tell."""
        return [member.now for member in self.residents]

    async def enter(self, member: Peer, before: list[int]) -> Life:
        """Note that a member lives, and wait until the residents know."""
        life = Life(member.name, time.time())
        self.lives.append(life)
        await self._notice("join", life, before)
        return life

    async def end(self, member: Peer, life: Life, way: str) -> None:
        """End a member one way or the other, and wait until the residents know."""
        before = self.marks()
        life.ended = time.time()
        if way == "left":
            await member.leave()
        member.process.kill()
        await member.process.gone()
        self.collect(member)
        for happened in await self._notice("leave", life, before):
            # Who ends as soon as it has left may be found gone before its farewell has gone round.
            assert happened.node.state == way or way == "left", happened
            self.detection[way].append(happened.at - life.ended)

    async def _notice(self, change: Change, life: Life, before: list[int]) -> list[Happened]:
        return await asyncio.gather(
            *(
                member.saw(change, life.name, mark)
                for member, mark in zip(self.residents, before, strict=True)
            )
        )

    def collect(self, member: Peer) -> None:
        """Remember who was lost, ever, in a member's eyes."""
        self.deaths += [one for one in member.history() if one.change == "leave"]

    def false_deaths(self) -> list[Happened]:
        """Return who was declared dead alive, although the machine had time for everybody."""
        return [
            death
            for death in self.deaths
            for life in self.lives
            if life.name == death.node.name and life.born <= death.at < life.ended
            if not any(since <= death.at < until + AFTERMATH for since, until in self.starved)
        ]

    async def watch_the_machine(self) -> None:
        """Note when this program, and so perhaps others, got no processor time for a pause."""
        while True:
            since = time.time()
            await asyncio.sleep(TICK)
            if (until := time.time()) - since > PAUSE:
                self.starved.append((since, until))


async def come_and_go(
    cluster: Cluster, name: str, options: Options, host: Host, chance: random.Random
) -> None:
    """Be a guest, again and again.

    Each time under another name: else news of a death may be late and yet true.
    """
    until = time.monotonic() + MINUTES * 60
    for number in itertools.count():
        if time.monotonic() >= until:
            return
        resident = chance.choice(cluster.residents)
        joining = replace(options, join=(resident.address,))
        before = cluster.marks()
        async with peer(host, f"{name}-{number}", joining) as member:
            life = await cluster.enter(member, before)
            await asyncio.sleep(chance.uniform(*STAY))
            if chance.random() < 0.3:
                member.process.freeze()
                await asyncio.sleep(PAUSE)
                member.process.thaw()
            await cluster.end(member, life, chance.choice(["left", "dead"]))


@pytest.mark.parametrize("key", [b"", bytes(range(32))], ids=["plain", "aes-256"])
async def test_nobody_alive_is_declared_dead(lan: Segment, key: bytes) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    cluster = Cluster()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(while_running(cluster.watch_the_machine()))
        first: tuple[str, ...] = ()
        for number, host in enumerate(lan.hosts[:3]):
            options = Options(version=OURS, key=key, join=first)
            before = cluster.marks()
            member = await stack.enter_async_context(peer(host, f"ours-{number}", options))
            await cluster.enter(member, before)
            cluster.residents.append(member)
            first = first or (member.address,)
        async with asyncio.TaskGroup() as guests:
            for number in range(GUESTS):
                options = Options(
                    version=(CURRENT, OLDEST, OURS)[number % 3], key=key, which=2 + number // 3
                )
                host = lan.hosts[1 + number % 3]
                own = random.Random(chance.random())
                guests.create_task(come_and_go(cluster, f"guest-{number}", options, host, own))
        for member in cluster.residents:
            assert set(await member.members()) == {other.name for other in cluster.residents}
            cluster.collect(member)

    print(f"{len(cluster.lives)} lives, {len(cluster.deaths)} deaths noticed")
    print(f"the machine had no time for us {len(cluster.starved)} times")
    for way, seconds in cluster.detection.items():
        print(f"{way}: after {statistics.median(seconds):.2f} s, {max(seconds):.2f} s at most")
    assert cluster.false_deaths() == []
