"""Our member and a serf agent; and hashicorp/memberlist with the agent, for comparison.

Serf accepts only members with the protocol versions of serf itself, and reads metadata that is not
serf's as the tag ``role``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.gossip import serf as agent
from support.gossip.memberlist_peer import CURRENT, OURS, SERF, Options, peer
from support.gossip.serf import serf
from support.net.segment import Segment

pytestmark = pytest.mark.interop

KEY_16 = bytes(range(16))
KEY_32 = bytes(range(32))

both = pytest.mark.parametrize("version", [OURS, CURRENT])
encrypted_or_not = pytest.mark.parametrize("key", [b"", KEY_32], ids=["plain", "aes-256"])


@both
@pytest.mark.parametrize("key", [b"", KEY_16, KEY_32], ids=["plain", "aes-128", "aes-256"])
async def test_metadata_updates_are_received_by_both(
    lan: Segment, version: str, key: bytes
) -> None:
    first, second, _, _ = lan.hosts
    tagged = agent.Options(key=key, tags={"colour": "blue"})
    member = Options(key=key, version=version, delegate=SERF, meta=b"of b")
    async with serf(first, "a", tagged) as a, peer(second, "b", member) as b:
        await b.join(a.address)
        await a.wait_change("Join", "b")
        assert (await b.wait_change("join", "a")).node.meta.endswith(b"colour\xa4blue")
        assert (await a.members())["b"].tags == {"role": "of b"}

        await b.change(b"changed")
        await a.wait_change("Update", "b")
        assert (await a.members())["b"].tags == {"role": "changed"}
        await a.tag("colour", "green")
        assert (await b.wait_change("update", "a")).node.meta.endswith(b"colour\xa5green")
        await b.retains("a", 3)
        assert [*a.errors_and_warnings(), *b.errors_and_warnings()] == []


@both
@encrypted_or_not
async def test_serf_joins_and_leaves(lan: Segment, version: str, key: bytes) -> None:
    first, second, third, _ = lan.hosts
    member = Options(key=key, delegate=SERF, ipv6=True)
    async with (
        peer(first, "b", replace(member, version=version)) as b,
        peer(third, "c", replace(member, join=(b.address,))) as c,
        serf(second, "a", agent.Options(key=key, ipv6=True, join=(b.address,))) as a,
    ):
        await b.wait_change("join", "a")
        await a.wait_change("Join", "b")
        await a.leave()
        await b.wait_change("leave", "a")
        assert (await c.push_pull_with(b.address))["a"].state == "left"


@both
@encrypted_or_not
async def test_a_member_that_leaves_without_serf_has_failed_at_once(
    lan: Segment, version: str, key: bytes
) -> None:
    """Serf needs a message of its own for a leave; what matters is that it is notified at once."""
    first, second, third, _ = lan.hosts
    member = Options(key=key, delegate=SERF)
    async with (
        serf(first, "a", agent.Options(key=key)) as a,
        peer(second, "b", replace(member, version=version, join=(a.address,))) as b,
        peer(third, "c", replace(member, join=(a.address,))) as c,
    ):
        await a.wait_change("Join", "b")
        await b.leave()
        await a.wait_change("Failed", "b")
        assert (await c.push_pull_with(a.address))["b"].state == "left"


@encrypted_or_not
async def test_a_killed_agent_and_a_killed_member_are_declared_dead(
    lan: Segment, key: bytes
) -> None:
    first, second, third, fourth = lan.hosts
    member = Options(key=key, delegate=SERF)
    async with (
        serf(first, "a", agent.Options(key=key)) as a,
        peer(second, "b", replace(member, version=OURS, join=(a.address,))) as b,
        peer(third, "c", replace(member, join=(b.address,))) as c,
    ):
        ours = replace(member, version=OURS, join=(a.address,))
        async with peer(fourth, "d", ours) as d:
            await a.wait_change("Join", "d")
            await b.wait_change("join", "d")
            d.process.kill()
            await a.wait_change("Failed", "d")
            await b.wait_change("leave", "d")
            assert (await c.push_pull_with(b.address))["d"].state == "dead"

        mark = a.now
        async with peer(fourth, "d", ours):
            await a.wait_change("Join", "d", mark)
            a.process.kill()
            await b.wait_change("leave", "a")
            assert (await c.push_pull_with(b.address))["a"].state == "dead"
