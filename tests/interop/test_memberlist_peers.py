"""The real implementations with each other: what ours has to look like, to them and to a test."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import serf as serf_agent
from support.memberlist_peer import CURRENT, OLDEST, SERF, Options, Peer, peer
from support.segment import Segment
from support.serf import Serf, serf

pytestmark = pytest.mark.interop

KEY_16 = bytes(range(16))
KEY_32 = bytes(range(32))
LONGEST = b"\x00\xff" * 256


@pytest.mark.parametrize("version", [CURRENT, OLDEST])
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("key", [b"", KEY_16, KEY_32], ids=["plain", "aes-128", "aes-256"])
async def test_join_change_and_leave(lan: Segment, version: str, ipv6: bool, key: bytes) -> None:
    one, two, three, _ = lan.hosts
    options = Options(ipv6=ipv6, key=key, preset="local")
    old = replace(options, version=version)
    async with (
        peer(one, "a", replace(options, meta=b"of a")) as a,
        peer(two, "b", replace(old, meta=b"of b", join=(a.address,))) as b,
        peer(three, "c", replace(options, join=(b.address,))) as c,
    ):
        await a.saw("join", "b")
        await b.saw("join", "c")
        await a.saw("join", "c")
        assert (await a.members())["b"].meta == b"of b"
        assert (await b.members())["a"].meta == b"of a"
        assert (await b.members())["a"].address == a.ip

        await b.change(LONGEST)
        assert (await a.saw("update", "b")).node.meta == LONGEST
        await b.leave()
        await a.saw("leave", "b")
        assert (await c.opinion_of(a.address))["b"].state == "left"


@pytest.mark.parametrize("version", [CURRENT, OLDEST])
async def test_a_member_that_was_killed_is_dead_and_can_come_back(
    lan: Segment, version: str
) -> None:
    one, two, three, _ = lan.hosts
    options = Options(version=version, preset="local")
    async with (
        peer(one, "a", options) as a,
        peer(two, "c", Options(preset="local", join=(a.address,))) as c,
    ):
        async with peer(three, "b", replace(options, join=(a.address,))) as b:
            await c.saw("join", "b")
            b.process.kill()
            await a.saw("leave", "b")
            await c.saw("leave", "b")
            assert (await c.opinion_of(a.address))["b"].state == "dead"

        mark = a.now
        async with peer(three, "b", replace(options, join=(a.address,))):
            await a.saw("join", "b", mark)


async def test_a_short_silence_is_refuted(lan: Segment) -> None:
    one, two, _, _ = lan.hosts
    async with (
        peer(one, "a") as a,
        peer(two, "b", Options(join=(a.address,))) as b,
    ):
        b.process.freeze()
        await a.logged("Suspect b has failed")
        b.process.thaw()
        await b.logged("Refuting a suspect message (from: a)")
        await a.keeps("b", 5)


async def test_labels_keep_clusters_apart(lan: Segment) -> None:
    one, two, three, _ = lan.hosts
    async with (
        peer(one, "a", Options(label="blue")) as a,
        peer(two, "b", Options(label="blue", join=(a.address,))) as b,
        peer(three, "c", Options(label="red")) as c,
    ):
        with pytest.raises(AssertionError, match="Failed to join"):
            await c.join(a.address)
        assert set(await b.members()) == {"a", "b"}


@pytest.mark.parametrize("key", [b"", KEY_32], ids=["plain", "aes-256"])
async def test_a_hundred_members_in_one_exchange(lan: Segment, key: bytes) -> None:
    one, two, _, _ = lan.hosts
    crowd = Options(count=100, preset="wan", key=key, meta=bytes(300))
    async with (
        peer(one, "m", crowd) as many,
        peer(two, "a", Options(preset="wan", key=key)) as a,
    ):
        await a.join(many.address)
        assert len(await a.members()) == 101


@pytest.mark.parametrize("key", [b"", KEY_32], ids=["plain", "aes-256"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
async def test_serf_and_a_member_without_serf(lan: Segment, key: bytes, ipv6: bool) -> None:
    one, two, _, _ = lan.hosts
    tagged = serf_agent.Options(key=key, ipv6=ipv6, tags={"colour": "blue"}, profile="local")
    options = Options(key=key, ipv6=ipv6, delegate=SERF, preset="local", meta=b"of b")
    async with serf(one, "a", tagged) as a, peer(two, "b", options) as b:
        await b.join(a.address)
        await a.saw("Join", "b")
        assert (await b.saw("join", "a")).node.meta.endswith(b"colour\xa4blue")
        assert (await a.members())["b"].tags == {"role": "of b"}

        await b.change(b"changed")
        await a.saw("Update", "b")
        assert (await a.members())["b"].tags == {"role": "changed"}
        await a.tag("colour", "green")
        assert (await b.saw("update", "a")).node.meta.endswith(b"colour\xa5green")

        await serf_leaves(a, b)


async def test_serf_joins(lan: Segment) -> None:
    one, two, _, _ = lan.hosts
    async with (
        peer(one, "b", Options(delegate=SERF)) as b,
        serf(two, "a", serf_agent.Options(join=(b.address,))) as a,
    ):
        await b.saw("join", "a")
        await a.saw("Join", "b")


async def serf_leaves(agent: Serf, member: Peer) -> None:
    mark = member.now
    await agent.leave()
    await member.saw("leave", agent.name, mark)


async def test_to_serf_who_leaves_without_serf_has_failed(lan: Segment) -> None:
    """Serf wants to be told by a message of its own; what matters is that it hears at once."""
    one, two, _, _ = lan.hosts
    async with (
        serf(one, "a") as a,
        peer(two, "b", Options(delegate=SERF, join=(a.address,))) as b,
    ):
        await a.saw("Join", "b")
        await b.leave()
        await a.saw("Failed", "b", within=2)
        assert (await b.opinion_of(a.address))["b"].state == "left"
