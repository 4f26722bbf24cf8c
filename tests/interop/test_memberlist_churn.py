"""Churn: members join, leave and are killed, and no live member is declared dead.

METALLB_PY_GOSSIP_MINUTES is the duration in minutes; the default is half a minute.

SWIM cannot distinguish a process without processor time from a dead one, so no other test runs at
the same time (``punctual``), and after times in which this program was starved, deaths are ignored.
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
from support.gossip.memberlist_peer import (
    CURRENT,
    OLDEST,
    OURS,
    Change,
    MemberChange,
    Options,
    Peer,
    peer,
)
from support.net.background import while_running
from support.net.segment import Host, Segment

pytestmark = [pytest.mark.interop, pytest.mark.punctual]

MINUTES = float(os.environ.get("METALLB_PY_GOSSIP_MINUTES", "0.5"))
GUESTS = 6
STAY = (1.0, 5.0)
PAUSE = 1.0
"""Seconds; shorter than the suspicion timeout of any member."""
TICK = 0.1
AFTERMATH = 10.0
"""Seconds in which starved members are suspected and declared dead."""


@dataclass(slots=True)
class Life:
    """Life time of the member with this name, in seconds of Unix time."""

    name: str
    born: float
    ended: float = float("inf")


@dataclass(slots=True)
class Cluster:
    """Present and former members, and the recorded events."""

    residents: list[Peer] = field(default_factory=list)
    """Members that stay to the end, and observe the others."""
    lives: list[Life] = field(default_factory=list)
    """Life times of all members."""
    deaths: list[MemberChange] = field(default_factory=list)
    """Members that were declared dead or left, by observer."""
    starved: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end of the times in which this program had no processor time."""
    detection: dict[str, list[float]] = field(default_factory=lambda: {"left": [], "dead": []})
    """Seconds from the end of a member until its detection, by kind of end."""

    def marks(self) -> list[int]:
        """Return the present positions in the output of the residents."""
        return [member.now for member in self.residents]

    async def enter(self, member: Peer, before: list[int]) -> Life:
        """Record that a member lives, and wait until the residents have detected it."""
        life = Life(member.name, time.time())
        self.lives.append(life)
        await self._detected("join", life, before)
        return life

    async def end(self, member: Peer, life: Life, way: str) -> None:
        """End a member in the given way, and wait until the residents have detected it."""
        before = self.marks()
        life.ended = time.time()
        if way == "left":
            await member.leave()
        member.process.kill()
        await member.process.gone()
        self.collect(member)
        for happened in await self._detected("leave", life, before):
            # A member that ends right after it left may be detected before its message has spread.
            assert happened.node.state == way or way == "left", happened
            self.detection[way].append(happened.at - life.ended)

    async def _detected(self, change: Change, life: Life, before: list[int]) -> list[MemberChange]:
        return await asyncio.gather(
            *(
                member.wait_change(change, life.name, mark)
                for member, mark in zip(self.residents, before, strict=True)
            )
        )

    def collect(self, member: Peer) -> None:
        """Record every member that was ever lost in the view of this one."""
        self.deaths += [one for one in member.history() if one.change == "leave"]

    def false_deaths(self) -> list[MemberChange]:
        """Return the live members that were declared dead without starvation of the machine."""
        return [
            death
            for death in self.deaths
            for life in self.lives
            if life.name == death.node.name and life.born <= death.at < life.ended
            if not any(since <= death.at < until + AFTERMATH for since, until in self.starved)
        ]

    async def watch_the_machine(self) -> None:
        """Record when this program, and so perhaps others, had no processor time for PAUSE."""
        while True:
            since = time.time()
            await asyncio.sleep(TICK)
            if (until := time.time()) - since > PAUSE:
                self.starved.append((since, until))


async def come_and_go(
    cluster: Cluster, name: str, options: Options, host: Host, rng: random.Random
) -> None:
    """Be a guest, repeatedly.

    Each time with another name: otherwise a late message of a death could be true.
    """
    until = time.monotonic() + MINUTES * 60
    for number in itertools.count():
        if time.monotonic() >= until:
            return
        resident = rng.choice(cluster.residents)
        joining = replace(options, join=(resident.address,))
        before = cluster.marks()
        async with peer(host, f"{name}-{number}", joining) as member:
            life = await cluster.enter(member, before)
            await asyncio.sleep(rng.uniform(*STAY))
            if rng.random() < 0.3:
                member.process.freeze()
                await asyncio.sleep(PAUSE)
                member.process.thaw()
            await cluster.end(member, life, rng.choice(["left", "dead"]))


@pytest.mark.parametrize("key", [b"", bytes(range(32))], ids=["plain", "aes-256"])
async def test_no_live_member_is_declared_dead_under_churn(lan: Segment, key: bytes) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
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
                own = random.Random(rng.random())
                guests.create_task(come_and_go(cluster, f"guest-{number}", options, host, own))
        for member in cluster.residents:
            assert set(await member.members()) == {other.name for other in cluster.residents}
            cluster.collect(member)

    print(f"{len(cluster.lives)} lives, {len(cluster.deaths)} deaths detected")
    print(f"the machine had no time for us {len(cluster.starved)} times")
    for way, seconds in cluster.detection.items():
        print(f"{way}: after {statistics.median(seconds):.2f} s, {max(seconds):.2f} s at most")
    assert cluster.false_deaths() == []
