"""A speaker's gossip thread: its port, its events, and its answers while the speaker is busy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest
from support.gossip.running_member import endpoint, membership, running
from support.net.background import while_running
from support.net.waiting import TIMEOUT, until

from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.messages import (
    Ping,
)
from metallb_py.protocols.memberlist.events import MemberUp
from speaker.membership.io.gossip_thread import GossipEvent, GossipThread, NotStarted, Started
from speaker.membership.io.gossip_transport import MemberConfig, Traffic

pytestmark = pytest.mark.netns
PORT = 17947


def place(number: int) -> str:
    return f"127.0.2.{number}"


@contextlib.asynccontextmanager
async def gossiping(
    name: str, number: int
) -> AsyncIterator[tuple[GossipThread, list[GossipEvent]]]:
    events: list[GossipEvent] = []
    gossip = GossipThread(events.extend)
    made = membership(name, endpoint(place(number), PORT))
    async with while_running(gossip.run(lambda: made)):
        yield gossip, events


def has(events: list[GossipEvent], kind: type[GossipEvent]) -> bool:
    return any(isinstance(event, kind) for event in events)


async def test_gossip_thread_answers_while_the_event_loop_is_blocked() -> None:
    async with gossiping("busy", 1) as (_, events):
        await until(lambda: has(events, Started))
        request = membership("x", endpoint(place(3), PORT)).envelope.pack_stream(
            encode(Ping(7, "busy"))
        )
        with socket.create_connection((place(1), PORT)) as stream:
            stream.sendall(request)
            stream.setblocking(False)
            answer, deadline = b"", time.monotonic() + TIMEOUT
            while not answer:  # this loop blocks the event loop
                assert time.monotonic() < deadline
                with contextlib.suppress(BlockingIOError):
                    answer = stream.recv(100)


async def test_gossip_thread_waits_for_its_port() -> None:
    async with (
        running(membership("first", endpoint(place(1), PORT))),
        gossiping("second", 1) as (_, events),
    ):
        await until(lambda: has(events, NotStarted))
        assert not has(events, Started)
    async with gossiping("third", 1) as (_, events):
        await until(lambda: has(events, Started))


async def test_gossip_thread_starts_once_its_port_is_free_as_then_configured() -> None:
    events: list[GossipEvent] = []
    metas: list[bytes] = []

    def config() -> MemberConfig:
        metas.append(f"attempt {len(metas)}".encode())
        return membership("one", endpoint(place(1), PORT), meta=metas[-1])

    gossip = GossipThread(events.extend)
    async with (
        running(membership("two", endpoint(place(2), PORT))) as two,
        contextlib.AsyncExitStack() as stack,
    ):
        async with running(membership("first", endpoint(place(1), PORT))):
            await stack.enter_async_context(while_running(gossip.run(config)))
            await until(lambda: len(metas) >= 3)
            assert events == [NotStarted("Address already in use")], "reported once"
        await until(lambda: has(events, Started))
        gossip.join((two.endpoint,))
        await until(lambda: any(m.meta == metas[-1] for m in two.node.machine.members))
    assert not has(events[2:], NotStarted)


async def test_gossip_thread_stops_while_it_waits_for_its_port() -> None:
    async with running(membership("first", endpoint(place(1), PORT))):
        async with gossiping("second", 1) as (_, events):
            await until(lambda: has(events, NotStarted))
        assert not has(events, Started)


async def test_error_in_handling_events_ends_the_gossip_thread() -> None:
    def on_events(events: tuple[GossipEvent, ...]) -> None:
        if any(isinstance(event, Traffic) for event in events):
            raise ValueError("broken")

    made = membership("one", endpoint(place(1), PORT))
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(TIMEOUT):
            await GossipThread(on_events).run(lambda: made)
    assert [str(error) for error in raised.value.exceptions] == ["broken"]
    async with gossiping("two", 1) as (_, events):  # by the same port
        await until(lambda: has(events, Started))


async def test_gossip_thread_reports_members_and_traffic() -> None:
    async with (
        gossiping("one", 1) as (gossip, events),
        running(membership("two", endpoint(place(2), PORT))) as two,
    ):
        await until(lambda: has(events, Started))
        gossip.join((two.endpoint,))
        await until(lambda: has(events, MemberUp))
        await until(lambda: any(isinstance(e, Traffic) and e.sent and e.received for e in events))
        gossip.update(b"meta")
        await until(lambda: any(m.meta == b"meta" for m in two.node.machine.members))
        gossip.leave()
        await until(lambda: two.alive() == {"two"})
