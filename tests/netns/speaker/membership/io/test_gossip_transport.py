"""Members on loopback: they join, exchange metadata, leave, and detect failed members."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from support.gossip.running_member import RunningMember, endpoint, membership, running
from support.net.waiting import TIMEOUT

from metallb_py.protocols.memberlist.codec.messages import State
from metallb_py.protocols.memberlist.events import (
    Joined,
    JoinFailed,
    MemberChanged,
    MemberDown,
    MemberUp,
    RoundTrip,
)

pytestmark = pytest.mark.netns
PORT = 17946


def place(number: int, version: int = 4) -> tuple[str, int]:
    """Return an address and port for a member: IPv6 has only one loopback address."""
    return (f"127.0.1.{number}", PORT) if version == 4 else ("::1", PORT + number)


@contextlib.asynccontextmanager
async def cluster(
    count: int, version: int = 4, secret: bytes = b"", label: str = ""
) -> AsyncIterator[list[RunningMember]]:
    """Run members that have joined each other."""
    async with contextlib.AsyncExitStack() as stack:
        members = []
        for number in range(1, count + 1):
            made = membership(
                f"node{number}", endpoint(*place(number, version)), secret=secret, label=label
            )
            members.append(await stack.enter_async_context(running(made)))
        for member in members[1:]:
            member.node.join([members[0].endpoint])
        names = {f"node{number}" for number in range(1, count + 1)}
        for member in members:
            await member.until(lambda member=member: member.alive() == names)
        yield members


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("secret", "label"), [(b"", ""), (b"quite secret", "blue")])
async def test_members_join_and_receive_metadata_updates(
    version: int, secret: bytes, label: str
) -> None:
    async with cluster(3, version, secret, label) as (one, two, three):
        assert one.events(MemberUp)
        three.node.update(b"news")
        for other in (one, two):
            await other.until(lambda other=other: bool(other.events(MemberChanged)))
            (changed,) = other.events(MemberChanged)
            assert (changed.member.name, changed.member.meta) == ("node3", b"news")
        await one.until(lambda: bool(one.events(RoundTrip)))
        assert 0 < one.events(RoundTrip)[0].seconds < TIMEOUT


@pytest.mark.parametrize("version", [4, 6])
async def test_leave_is_reported_at_once(version: int) -> None:
    async with cluster(3, version) as (one, two, three):
        three.node.leave()
        for other in (one, two):
            await other.until(lambda other=other: bool(other.events(MemberDown)))
            assert other.events(MemberDown)[0].member.state is State.LEFT


@pytest.mark.parametrize("version", [4, 6])
async def test_ended_process_is_reported_dead_without_suspicion(version: int) -> None:
    async with cluster(2, version) as (one, two):
        made = membership("node3", endpoint(*place(3, version)))
        async with running(made) as three:
            three.node.join([one.endpoint])
            for other in (one, two):
                await other.until(lambda other=other: "node3" in other.alive())
        for other in (one, two):
            await other.until(lambda other=other: bool(other.events(MemberDown)))
            down = other.events(MemberDown)[0]
            assert (down.member.name, down.member.state) == ("node3", State.DEAD)


async def test_returning_member_rejoins() -> None:
    async with cluster(2) as (one, two):
        for life in range(1, 4):
            async with running(membership("node3", endpoint(*place(3)))) as three:
                three.node.join([one.endpoint])
                await two.until(lambda life=life: len(two.events(MemberUp)) == 1 + life)
            await two.until(lambda life=life: len(two.events(MemberDown)) == life)


async def test_member_with_another_secret_or_label_does_not_join() -> None:
    async with cluster(1, secret=b"quite secret", label="blue") as (one,):
        for other in ({"secret": b"another"}, {"secret": b"quite secret"}, {}):
            made = membership("node2", endpoint(*place(2)), **other)
            async with running(made) as two:
                two.node.join([one.endpoint])
                await two.until(lambda two=two: bool(two.events(JoinFailed)))
                assert two.alive() == {"node2"}
        assert one.alive() == {"node1"}


async def test_members_with_either_key_of_a_secret_are_one_cluster() -> None:
    old = membership("old", endpoint(*place(1)), secret=b"s" * 40, key_bytes=16)
    new = membership("new", endpoint(*place(2)), secret=b"s" * 40, key_bytes=32)
    async with running(old) as one, running(new) as two:
        two.node.join([one.endpoint])
        await one.until(lambda: one.alive() == {"old", "new"})
        await one.until(lambda: bool(one.events(RoundTrip)))
        await two.until(lambda: bool(two.events(RoundTrip)))


async def test_join_of_an_unreachable_endpoint_fails() -> None:
    async with cluster(1) as (one,):
        one.node.join([endpoint(*place(9))])
        await one.until(lambda: bool(one.events(JoinFailed)))
        assert one.events(JoinFailed)[0].endpoint == endpoint(*place(9))
        assert not one.events(Joined)


async def test_malformed_packets_are_counted_and_change_nothing() -> None:
    async with cluster(2, secret=b"quite secret") as (one, _):
        noise = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            for data in (b"", b"\x00", b"\x01" * 60, bytes(65_000)):
                noise.sendto(data, place(1))
        finally:
            noise.close()
        async with asyncio.timeout(TIMEOUT):
            while one.dropped().total() < 4:
                await asyncio.sleep(0)
        assert one.alive() == {"node1", "node2"}


async def test_port_in_use_is_an_error() -> None:
    async with cluster(1):
        with pytest.raises(OSError, match="in use"):
            async with running(membership("other", endpoint(*place(1)))):
                pass
