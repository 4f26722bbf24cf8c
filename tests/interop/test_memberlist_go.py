"""Our members and those on hashicorp/memberlist in one cluster; and theirs alone, for comparison.

What a member of theirs thinks of one that has gone it shows nobody but who joins it: therefore
there is mostly a third one, of their current version, who asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

import pytest
from support.bgp_wire import eventually
from support.memberlist_peer import CURRENT, OLDEST, OURS, Options, Peer, peer
from support.segment import Segment

pytestmark = pytest.mark.interop

KEY_16 = bytes(range(16))
KEY_32 = bytes(range(32))
LONGEST = b"\x00\xff" * 256

both_ways = pytest.mark.parametrize(
    ("one", "other"),
    [(OURS, CURRENT), (CURRENT, OURS), (OURS, OLDEST), (OLDEST, OURS)],
)
wires = pytest.mark.parametrize(
    "wire",
    [
        pytest.param(Options(), id="plain"),
        pytest.param(Options(compression=False), id="uncompressed"),
        pytest.param(Options(key=KEY_16), id="aes-128"),
        pytest.param(Options(key=KEY_32, ipv6=True), id="aes-256-ipv6"),
        pytest.param(Options(ipv6=True), id="ipv6"),
    ],
)


@both_ways
@wires
async def test_joins_changes_and_leaves(lan: Segment, one: str, other: str, wire: Options) -> None:
    first, second, third, _ = lan.hosts
    async with (
        peer(first, "a", replace(wire, version=one, meta=b"of a")) as a,
        peer(second, "b", replace(wire, version=other, meta=b"of b", join=(a.address,))) as b,
        peer(third, "c", replace(wire, join=(b.address,))) as c,
    ):
        await a.saw("join", "b")
        await b.saw("join", "c")
        await a.saw("join", "c")
        assert (await a.members())["b"].meta == b"of b"
        assert (await b.members())["a"].meta == b"of a"
        assert (await b.members())["a"].address == a.ip

        await b.change(LONGEST)
        assert (await a.saw("update", "b")).node.meta == LONGEST
        assert (await c.saw("update", "b")).node.meta == LONGEST
        await a.change(b"")
        assert (await b.saw("update", "a")).node.meta == b""

        await b.leave()
        await a.saw("leave", "b")
        assert (await c.opinion_of(a.address))["b"].state == "left"
        assert [*a.complaints(), *b.complaints(), *c.complaints()] == []


@both_ways
async def test_killed_and_back_again(lan: Segment, one: str, other: str) -> None:
    first, second, third, _ = lan.hosts
    wire = Options(key=KEY_16)
    async with (
        peer(first, "a", replace(wire, version=one)) as a,
        peer(third, "c", replace(wire, join=(a.address,))) as c,
    ):
        theirs = replace(wire, version=other, join=(a.address,))
        async with peer(second, "b", theirs) as b:
            await a.saw("join", "b")
            await c.saw("join", "b")
            b.process.kill()
            await a.saw("leave", "b")
            assert (await c.opinion_of(a.address))["b"].state == "dead"
            assert "c" in await a.members()

        mark_a, mark_c = a.now, c.now
        async with peer(second, "b", replace(theirs, meta=b"new")):
            assert (await a.saw("join", "b", mark_a)).node.meta == b"new"
            assert (await c.saw("join", "b", mark_c)).node.meta == b"new"


@pytest.mark.parametrize(("one", "other"), [(OURS, CURRENT), (CURRENT, OURS), (OURS, OURS)])
async def test_joined_again_after_a_partition(lan: Segment, one: str, other: str) -> None:
    first, second, third, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(third, "c", Options(version=CURRENT, join=(a.address,))) as c,
        peer(second, "b", Options(version=other, join=(a.address,))) as b,
    ):
        await c.saw("join", "b")
        lan.cut(second)
        marks = a.now, b.now, c.now
        await asyncio.gather(
            a.saw("leave", "b", marks[0]),
            b.saw("leave", "a", marks[1]),
            b.saw("leave", "c", marks[1]),
            c.saw("leave", "b", marks[2]),
        )
        lan.mend(second)
        await eventually(partial(joined, b, a), bool)
        await asyncio.gather(
            a.saw("join", "b", marks[0]),
            b.saw("join", "a", marks[1]),
            b.saw("join", "c", marks[1]),
            c.saw("join", "b", marks[2]),
        )


async def joined(member: Peer, other: Peer) -> bool:
    """Try to join, as speakers do with every speaker that they don't see."""
    with contextlib.suppress(AssertionError):
        return bool(await member.join(other.address))
    return False


@both_ways
async def test_restarted_before_anybody_noticed(lan: Segment, one: str, other: str) -> None:
    first, second, _, _ = lan.hosts
    async with peer(first, "a", Options(version=one)) as a:
        theirs = Options(version=other, join=(a.address,))
        async with peer(second, "b", replace(theirs, meta=b"old")):
            await a.saw("join", "b")
        async with peer(second, "b", replace(theirs, meta=b"new")) as b:
            await a.knows("b", b"new")
            assert "a" in await b.members()


@both_ways
async def test_back_at_another_address_after_leaving(lan: Segment, one: str, other: str) -> None:
    first, second, third, _ = lan.hosts
    async with peer(first, "a", Options(version=one)) as a:
        theirs = Options(version=other, join=(a.address,))
        async with peer(second, "b", theirs) as b:
            await a.saw("join", "b")
            await b.leave()
            await a.saw("leave", "b")
        mark = a.now
        async with peer(third, "b", theirs) as b:
            assert (await a.saw("join", "b", mark)).node.address == b.ip


@both_ways
async def test_who_takes_the_name_of_another_is_not_believed(
    lan: Segment, one: str, other: str
) -> None:
    first, second, third, fourth = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(second, "b", Options(join=(a.address,))) as b,
        peer(fourth, "c", Options(join=(a.address,))) as c,
    ):
        await a.saw("join", "b")
        async with peer(third, "b", Options(version=other)) as impostor:
            with contextlib.suppress(AssertionError):
                await impostor.join(a.address)
            await a.keeps("b", 3)
            assert (await a.members())["b"].address == b.ip
            assert (await c.members())["b"].address == b.ip


@both_ways
async def test_a_short_silence_is_refuted(lan: Segment, one: str, other: str) -> None:
    first, second, _, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(second, "b", Options(version=other, join=(a.address,))) as b,
    ):
        await a.saw("join", "b")
        b.process.freeze()
        await a.suspects("b")
        b.process.thaw()
        await b.refutes("a")
        await a.keeps("b", 5)


@pytest.mark.parametrize(("one", "other"), [(OURS, CURRENT), (CURRENT, OURS), (OURS, OLDEST)])
async def test_udp_alone_is_lost(lan: Segment, one: str, other: str) -> None:
    first, second, _, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(second, "b", Options(version=other, join=(a.address,))) as b,
    ):
        await a.saw("join", "b")
        second.drop("-p", "udp")
        await a.keeps("b", 10)
        assert "a" in await b.members()


@pytest.mark.parametrize(
    ("one", "between", "other"),
    [(OURS, CURRENT, OURS), (OURS, OLDEST, CURRENT), (CURRENT, OURS, OLDEST)],
)
async def test_two_that_hear_each_other_through_a_third_alone(
    lan: Segment, one: str, between: str, other: str
) -> None:
    first, second, third, _ = lan.hosts
    async with (
        peer(third, "c", Options(version=between)) as c,
        peer(first, "a", Options(version=one, join=(c.address,))) as a,
        peer(second, "b", Options(version=other, join=(c.address,))) as b,
    ):
        await a.saw("join", "b")
        await b.saw("join", "a")
        lan.part(first, second)
        await a.keeps("b", 10)
        assert "a" in await b.members()


@pytest.mark.parametrize(("one", "other"), [(OURS, CURRENT), (CURRENT, OURS)])
@pytest.mark.parametrize("key", [b"", KEY_16], ids=["plain", "aes-128"])
async def test_labels_keep_clusters_apart(lan: Segment, one: str, other: str, key: bytes) -> None:
    first, second, third, _ = lan.hosts
    blue = Options(label="blue", key=key)
    async with (
        peer(first, "a", replace(blue, version=one)) as a,
        peer(second, "b", replace(blue, version=other, join=(a.address,))) as b,
        peer(third, "c", Options(label="red", key=key, version=other)) as c,
    ):
        with pytest.raises(AssertionError, match="Failed to join"):
            await c.join(a.address)
        await a.saw("join", "b")
        assert set(await b.members()) == {"a", "b"}
        assert set(await a.members()) == {"a", "b"}


@both_ways
@pytest.mark.parametrize("key", [b"", KEY_32], ids=["plain", "other-key"])
async def test_who_lacks_the_key_stays_outside(
    lan: Segment, one: str, other: str, key: bytes
) -> None:
    first, second, _, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=one, key=KEY_16)) as a,
        peer(second, "b", Options(version=other, key=key)) as b,
    ):
        with pytest.raises(AssertionError, match="Failed to join"):
            await b.join(a.address)
        with pytest.raises(AssertionError, match="Failed to join"):
            await a.join(b.address)
        assert set(await a.members()) == {"a"}
        assert set(await b.members()) == {"b"}


@pytest.mark.parametrize("protocol", [1, 3, 5])
@pytest.mark.parametrize("version", [CURRENT, OLDEST])
async def test_other_versions_of_the_protocol(lan: Segment, version: str, protocol: int) -> None:
    first, second, _, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=OURS)) as a,
        peer(second, "b", Options(version=version, protocol=protocol, join=(a.address,))) as b,
    ):
        assert (await a.saw("join", "b")).node.versions[2] == protocol
        await b.change(b"new")
        await a.saw("update", "b")
        await a.change(b"new")
        await b.saw("update", "a")
        await b.keeps("a", 3)
        assert "b" in await a.members()


@pytest.mark.parametrize("wire", [Options(), Options(key=KEY_32)], ids=["plain", "aes-256"])
@pytest.mark.parametrize("one", [OURS, CURRENT])
async def test_a_hundred_members_in_one_exchange(lan: Segment, one: str, wire: Options) -> None:
    first, second, _, _ = lan.hosts
    crowd = replace(wire, count=100, preset="wan", meta=bytes(300))
    async with (
        peer(first, "m", crowd) as many,
        peer(second, "a", replace(wire, version=one, preset="wan")) as a,
    ):
        await a.join(many.address)
        assert len(await a.members()) == 101
        await many.saw("join", "a")
