"""Our members and those of hashicorp/memberlist in one cluster; theirs alone for comparison.

A member of theirs reveals the state of a departed member only in a push-pull with a member that
joins: therefore most tests have a third member, of their current version, which joins again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

import pytest
from support.gossip.memberlist_peer import CURRENT, OLDEST, OURS, Options, Peer, peer
from support.net.segment import Segment
from support.net.waiting import eventually

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
async def test_join_metadata_update_and_leave(
    lan: Segment, one: str, other: str, wire: Options
) -> None:
    first, second, third, _ = lan.hosts
    async with (
        peer(first, "a", replace(wire, version=one, meta=b"of a")) as a,
        peer(second, "b", replace(wire, version=other, meta=b"of b", join=(a.address,))) as b,
        peer(third, "c", replace(wire, join=(b.address,))) as c,
    ):
        await a.wait_change("join", "b")
        await b.wait_change("join", "c")
        await a.wait_change("join", "c")
        assert (await a.members())["b"].meta == b"of b"
        assert (await b.members())["a"].meta == b"of a"
        assert (await b.members())["a"].address == a.ip

        await b.change(LONGEST)
        assert (await a.wait_change("update", "b")).node.meta == LONGEST
        assert (await c.wait_change("update", "b")).node.meta == LONGEST
        await a.change(b"")
        assert (await b.wait_change("update", "a")).node.meta == b""

        await b.leave()
        await a.wait_change("leave", "b")
        assert (await c.push_pull_with(a.address))["b"].state == "left"
        assert [*a.errors_and_warnings(), *b.errors_and_warnings(), *c.errors_and_warnings()] == []


@both_ways
async def test_a_killed_member_is_declared_dead_and_may_join_again(
    lan: Segment, one: str, other: str
) -> None:
    first, second, third, _ = lan.hosts
    wire = Options(key=KEY_16)
    async with (
        peer(first, "a", replace(wire, version=one)) as a,
        peer(third, "c", replace(wire, join=(a.address,))) as c,
    ):
        theirs = replace(wire, version=other, join=(a.address,))
        async with peer(second, "b", theirs) as b:
            await a.wait_change("join", "b")
            await c.wait_change("join", "b")
            b.process.kill()
            await a.wait_change("leave", "b")
            assert (await c.push_pull_with(a.address))["b"].state == "dead"
            assert "c" in await a.members()

        mark_a, mark_c = a.now, c.now
        async with peer(second, "b", replace(theirs, meta=b"new")):
            assert (await a.wait_change("join", "b", mark_a)).node.meta == b"new"
            assert (await c.wait_change("join", "b", mark_c)).node.meta == b"new"


@pytest.mark.parametrize(("one", "other"), [(OURS, CURRENT), (CURRENT, OURS), (OURS, OURS)])
async def test_members_join_again_after_a_partition(lan: Segment, one: str, other: str) -> None:
    first, second, third, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(third, "c", Options(version=CURRENT, join=(a.address,))) as c,
        peer(second, "b", Options(version=other, join=(a.address,))) as b,
    ):
        await c.wait_change("join", "b")
        lan.cut(second)
        marks = a.now, b.now, c.now
        await asyncio.gather(
            a.wait_change("leave", "b", marks[0]),
            b.wait_change("leave", "a", marks[1]),
            b.wait_change("leave", "c", marks[1]),
            c.wait_change("leave", "b", marks[2]),
        )
        lan.mend(second)
        await eventually(partial(joined, b, a), bool)
        await asyncio.gather(
            a.wait_change("join", "b", marks[0]),
            b.wait_change("join", "a", marks[1]),
            b.wait_change("join", "c", marks[1]),
            c.wait_change("join", "b", marks[2]),
        )


async def joined(member: Peer, other: Peer) -> bool:
    """Try to join, as a speaker does with every speaker that is no member in its view."""
    with contextlib.suppress(AssertionError):
        return bool(await member.join(other.address))
    return False


@both_ways
async def test_a_member_that_restarts_before_its_detection_is_alive(
    lan: Segment, one: str, other: str
) -> None:
    first, second, _, _ = lan.hosts
    async with peer(first, "a", Options(version=one)) as a:
        theirs = Options(version=other, join=(a.address,))
        async with peer(second, "b", replace(theirs, meta=b"old")):
            await a.wait_change("join", "b")
        async with peer(second, "b", replace(theirs, meta=b"new")) as b:
            await a.wait_metadata("b", b"new")
            assert "a" in await b.members()


@both_ways
async def test_a_member_that_left_may_join_again_at_another_address(
    lan: Segment, one: str, other: str
) -> None:
    first, second, third, _ = lan.hosts
    async with peer(first, "a", Options(version=one)) as a:
        theirs = Options(version=other, join=(a.address,))
        async with peer(second, "b", theirs) as b:
            await a.wait_change("join", "b")
            await b.leave()
            await a.wait_change("leave", "b")
        mark = a.now
        async with peer(third, "b", theirs) as b:
            assert (await a.wait_change("join", "b", mark)).node.address == b.ip


@both_ways
async def test_a_name_conflict_does_not_replace_the_member(
    lan: Segment, one: str, other: str
) -> None:
    first, second, third, fourth = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(second, "b", Options(join=(a.address,))) as b,
        peer(fourth, "c", Options(join=(a.address,))) as c,
    ):
        await a.wait_change("join", "b")
        async with peer(third, "b", Options(version=other)) as impostor:
            with contextlib.suppress(AssertionError):
                await impostor.join(a.address)
            await a.retains("b", 3)
            assert (await a.members())["b"].address == b.ip
            assert (await c.members())["b"].address == b.ip


@both_ways
async def test_a_suspected_member_refutes_after_a_short_pause(
    lan: Segment, one: str, other: str
) -> None:
    first, second, _, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(second, "b", Options(version=other, join=(a.address,))) as b,
    ):
        await a.wait_change("join", "b")
        b.process.freeze()
        await a.suspects("b")
        b.process.thaw()
        await b.refutes("a")
        await a.retains("b", 5)


@pytest.mark.parametrize(("one", "other"), [(OURS, CURRENT), (CURRENT, OURS), (OURS, OLDEST)])
async def test_tcp_fallback_ping_keeps_a_member_alive_without_udp(
    lan: Segment, one: str, other: str
) -> None:
    first, second, _, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=one)) as a,
        peer(second, "b", Options(version=other, join=(a.address,))) as b,
    ):
        await a.wait_change("join", "b")
        second.drop("-p", "udp")
        await a.retains("b", 10)
        assert "a" in await b.members()


@pytest.mark.parametrize(
    ("one", "between", "other"),
    [(OURS, CURRENT, OURS), (OURS, OLDEST, CURRENT), (CURRENT, OURS, OLDEST)],
)
async def test_indirect_ping_keeps_members_alive_through_a_third(
    lan: Segment, one: str, between: str, other: str
) -> None:
    first, second, third, _ = lan.hosts
    async with (
        peer(third, "c", Options(version=between)) as c,
        peer(first, "a", Options(version=one, join=(c.address,))) as a,
        peer(second, "b", Options(version=other, join=(c.address,))) as b,
    ):
        await a.wait_change("join", "b")
        await b.wait_change("join", "a")
        lan.partition(first, second)
        await a.retains("b", 10)
        assert "a" in await b.members()


@pytest.mark.parametrize(("one", "other"), [(OURS, CURRENT), (CURRENT, OURS)])
@pytest.mark.parametrize("key", [b"", KEY_16], ids=["plain", "aes-128"])
async def test_labels_separate_clusters(lan: Segment, one: str, other: str, key: bytes) -> None:
    first, second, third, _ = lan.hosts
    blue = Options(label="blue", key=key)
    async with (
        peer(first, "a", replace(blue, version=one)) as a,
        peer(second, "b", replace(blue, version=other, join=(a.address,))) as b,
        peer(third, "c", Options(label="red", key=key, version=other)) as c,
    ):
        with pytest.raises(AssertionError, match="Failed to join"):
            await c.join(a.address)
        await a.wait_change("join", "b")
        assert set(await b.members()) == {"a", "b"}
        assert set(await a.members()) == {"a", "b"}


@both_ways
@pytest.mark.parametrize("key", [b"", KEY_32], ids=["plain", "other-key"])
async def test_a_member_without_the_key_cannot_join(
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
async def test_other_protocol_versions_of_memberlist(
    lan: Segment, version: str, protocol: int
) -> None:
    first, second, _, _ = lan.hosts
    async with (
        peer(first, "a", Options(version=OURS)) as a,
        peer(second, "b", Options(version=version, protocol=protocol, join=(a.address,))) as b,
    ):
        assert (await a.wait_change("join", "b")).node.versions[2] == protocol
        await b.change(b"new")
        await a.wait_change("update", "b")
        await a.change(b"new")
        await b.wait_change("update", "a")
        await b.retains("a", 3)
        assert "b" in await a.members()


@pytest.mark.parametrize("wire", [Options(), Options(key=KEY_32)], ids=["plain", "aes-256"])
@pytest.mark.parametrize("one", [OURS, CURRENT])
async def test_a_hundred_members_in_one_push_pull(lan: Segment, one: str, wire: Options) -> None:
    first, second, _, _ = lan.hosts
    crowd = replace(wire, count=100, preset="wan", meta=bytes(300))
    async with (
        peer(first, "m", crowd) as many,
        peer(second, "a", replace(wire, version=one, preset="wan")) as a,
    ):
        await a.join(many.address)
        assert len(await a.members()) == 101
        await many.wait_change("join", "a")
