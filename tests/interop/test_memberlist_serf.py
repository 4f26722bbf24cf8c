"""Our member and a serf agent; and hashicorp/memberlist with the agent, for comparison.

Serf takes nobody that does not claim to speak serf's own protocol, and takes metadata that is not
serf's for the tag ``role``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import serf as agent
from support.memberlist_peer import CURRENT, OURS, SERF, Options, peer
from support.segment import Segment
from support.serf import serf

pytestmark = pytest.mark.interop

KEY_16 = bytes(range(16))
KEY_32 = bytes(range(32))

both = pytest.mark.parametrize("version", [OURS, CURRENT])
sealed_or_not = pytest.mark.parametrize("key", [b"", KEY_32], ids=["plain", "aes-256"])


@both
@pytest.mark.parametrize("key", [b"", KEY_16, KEY_32], ids=["plain", "aes-128", "aes-256"])
async def test_metadata_is_seen_by_both(lan: Segment, version: str, key: bytes) -> None:
    first, second, _, _ = lan.hosts
    tagged = agent.Options(key=key, tags={"colour": "blue"})
    member = Options(key=key, version=version, delegate=SERF, meta=b"of b")
    async with serf(first, "a", tagged) as a, peer(second, "b", member) as b:
        await b.join(a.address)
        await a.saw("Join", "b")
        assert (await b.saw("join", "a")).node.meta.endswith(b"colour\xa4blue")
        assert (await a.members())["b"].tags == {"role": "of b"}

        await b.change(b"changed")
        await a.saw("Update", "b")
        assert (await a.members())["b"].tags == {"role": "changed"}
        await a.tag("colour", "green")
        assert (await b.saw("update", "a")).node.meta.endswith(b"colour\xa5green")
        await b.keeps("a", 3)
        assert [*a.complaints(), *b.complaints()] == []


@both
@sealed_or_not
async def test_serf_joins_and_leaves(lan: Segment, version: str, key: bytes) -> None:
    first, second, third, _ = lan.hosts
    member = Options(key=key, delegate=SERF, ipv6=True)
    async with (
        peer(first, "b", replace(member, version=version)) as b,
        peer(third, "c", replace(member, join=(b.address,))) as c,
        serf(second, "a", agent.Options(key=key, ipv6=True, join=(b.address,))) as a,
    ):
        await b.saw("join", "a")
        await a.saw("Join", "b")
        await a.leave()
        await b.saw("leave", "a")
        assert (await c.opinion_of(b.address))["a"].state == "left"


@both
@sealed_or_not
async def test_who_leaves_without_serf_has_failed_at_once(
    lan: Segment, version: str, key: bytes
) -> None:
    """Serf would be told by a message of its own; what matters is that it hears at once."""
    first, second, third, _ = lan.hosts
    member = Options(key=key, delegate=SERF)
    async with (
        serf(first, "a", agent.Options(key=key)) as a,
        peer(second, "b", replace(member, version=version, join=(a.address,))) as b,
        peer(third, "c", replace(member, join=(a.address,))) as c,
    ):
        await a.saw("Join", "b")
        await b.leave()
        await a.saw("Failed", "b")
        assert (await c.opinion_of(a.address))["b"].state == "left"


@sealed_or_not
async def test_a_killed_agent_and_a_killed_member(lan: Segment, key: bytes) -> None:
    first, second, third, fourth = lan.hosts
    member = Options(key=key, delegate=SERF)
    async with (
        serf(first, "a", agent.Options(key=key)) as a,
        peer(second, "b", replace(member, version=OURS, join=(a.address,))) as b,
        peer(third, "c", replace(member, join=(b.address,))) as c,
    ):
        ours = replace(member, version=OURS, join=(a.address,))
        async with peer(fourth, "d", ours) as d:
            await a.saw("Join", "d")
            await b.saw("join", "d")
            d.process.kill()
            await a.saw("Failed", "d")
            await b.saw("leave", "d")
            assert (await c.opinion_of(b.address))["d"].state == "dead"

        mark = a.now
        async with peer(fourth, "d", ours):
            await a.saw("Join", "d", mark)
            a.process.kill()
            await b.saw("leave", "a")
            assert (await c.opinion_of(b.address))["a"].state == "dead"
