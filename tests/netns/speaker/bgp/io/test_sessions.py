"""The BGP sessions of a node against peers in the same process, over loopback of a namespace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from support.bgp_node import Node, peer, route, running_node
from support.bgp_peers import collecting, listening
from support.bgp_wire import inside, wire
from support.patience import PATIENCE

from metallb_py.addresses import IPNetwork
from metallb_py.protocols.bgp.codec.messages import Keepalive, Notification, Open
from metallb_py.protocols.bgp.codec.update import Update
from speaker.bgp.events import PeerAdded, PeerRemoved, PrefixCounts, SessionUp, UpdatesSent
from speaker.bgp.io.sessions import BgpSpeaker
from speaker.bgp.peering import Peering, RemovalReason

pytestmark = pytest.mark.netns

ONE, TWO = "127.0.0.1", "127.0.0.2"


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with wire() as made, inside(made.node):
        yield


@pytest.fixture
async def node(namespace: None) -> AsyncIterator[Node]:
    async with running_node() as made:
        yield made


async def test_every_peer_is_told_every_route(node: Node) -> None:
    async with collecting(ONE) as one, collecting(TWO) as two:
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(ONE, 64512, 64513), peer(TWO, 64512, 64513))

        assert await one.has(bool) == {"192.0.2.1/32": [ONE]}
        assert await two.has(bool) == {"192.0.2.1/32": [ONE]}

        node.advertise(route("192.0.2.2/32"))
        await one.has(lambda table: table == {"192.0.2.2/32": [ONE]})
        await two.has(lambda table: table == {"192.0.2.2/32": [ONE]})


async def test_one_address_with_two_ports_is_two_peers(node: Node) -> None:
    async with collecting(ONE, 1791) as one, collecting(ONE, 1792) as two:
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(ONE, 64512, 64513, port=1791), peer(ONE, 64512, 64513, port=1792))

        await one.has(bool)
        await two.has(bool)
        assert {str((await node.saw(SessionUp)).peer) for _ in range(2)} == {
            "127.0.0.1:1791",
            "127.0.0.1:1792",
        }


async def test_a_burst_of_changes_leaves_as_its_outcome(node: Node) -> None:
    async with collecting(ONE) as one:
        node.peer_with(peer(ONE, 64512, 64513))
        await node.saw(SessionUp)
        routes = [route(f"192.0.2.{number}/32") for number in range(10)]
        for number in range(11):
            node.advertise(*routes[:number])
            await asyncio.sleep(0)

        await one.has(lambda table: len(table) == 10)
        assert (await node.saw(UpdatesSent)).count == 1
        assert not any(isinstance(event, UpdatesSent) for event in node.events)


async def test_a_reload_disturbs_only_what_it_changes(node: Node) -> None:
    async with collecting(ONE) as one, collecting(TWO) as two:
        kept, gone = peer(ONE, 64512, 64513), peer(TWO, 64512, 64513)
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(kept, gone)
        await one.has(bool)
        await two.has(bool)
        node.events.clear()
        node.peer_with(kept)
        await two.has(lambda table: not table)

        assert node.events == [PeerRemoved(gone, RemovalReason.REMOVED_FROM_CONFIG)]
        assert all(table for table in one.tables[1:])


async def test_a_filtered_peer_is_told_apart_from_a_removed_one(node: Node) -> None:
    async with collecting(ONE):
        session = peer(ONE, 64512, 64513)
        node.peer_with(session)
        await node.saw(SessionUp)
        node.speaker.set_peers(Peering((), frozenset({session})))

        removed = await node.saw(PeerRemoved)
        assert removed.reason is RemovalReason.FILTERED_BY_NODE_SELECTOR


async def test_a_changed_peer_is_closed_before_its_successor_dials(node: Node) -> None:
    async with listening(ONE) as accepted:
        node.peer_with(peer(ONE, 64512, 64513))
        old = await accepted.get()
        assert isinstance(await old.hear(), Open)
        node.peer_with(peer(ONE, 64512, 64513, hold_time=30))

        assert await old.hear() == Notification(6, 3)
        assert await old.hear() is None
        successor = await (await accepted.get()).hear()
        assert isinstance(successor, Open)
        assert successor.hold_time == 30
        assert [type(event) for event in node.events] == [
            PeerAdded,
            PrefixCounts,
            PeerRemoved,
            PeerAdded,
            PrefixCounts,
        ]


async def test_a_mute_or_missing_router_delays_no_other(node: Node) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(listening(ONE))
        good = await stack.enter_async_context(collecting(TWO))
        node.advertise(route("192.0.2.1/32"))
        before = time.monotonic()
        node.peer_with(
            peer(ONE, 64512, 64513),
            peer("10.77.0.99", 64512, 64513),  # nobody answers ARP for it
            peer(ONE, 64512, 64513, port=1790),  # refuses
            peer(TWO, 64512, 64513),
        )
        await good.has(bool)

        assert time.monotonic() - before < 2.9  # the kernel looks for the missing one for 3 s


async def test_a_router_that_stops_reading_delays_no_other_and_skips_what_it_missed(
    node: Node,
) -> None:
    async with listening(ONE) as accepted, collecting(TWO) as good:
        node.peer_with(peer(ONE, 64512, 64513, hold_time=0), peer(TWO, 64512, 64513))
        deaf = await accepted.get()
        deaf.accept_open(await deaf.hear(), hold_time=0)
        for _ in range(2):
            await node.saw(SessionUp)
        sets = [[route(f"10.{x}.{n >> 8}.{n & 255}/32") for n in range(10_000)] for x in range(8)]
        for routes in sets:
            node.advertise(*routes)
            await good.has(lambda table, wanted=str(routes[0].prefix): wanted in table)

        known: set[IPNetwork] = set()
        told = 0
        while known != {one.prefix for one in sets[-1]}:
            message = await deaf.hear()
            if isinstance(message, Update):
                known -= set(message.withdrawn)
                known |= {prefix for reach in message.reach for prefix in reach.prefixes}
                told += len(message.withdrawn) + sum(len(reach.prefixes) for reach in message.reach)
        # Each set was announced and all but the last withdrawn: 150,000 prefixes to those who
        # listened. Buffers hold some 30,000, then comes the difference to the last set.
        assert told < 75_000


async def test_stopping_says_goodbye_to_everyone() -> None:
    events: list[object] = []
    speaker = BgpSpeaker("node1", events.append)
    speaker.set_peers(Peering((peer(ONE, 64512, 64513), peer(TWO, 64512, 64513))))
    async with listening(ONE) as first, listening(TWO) as second:
        task = asyncio.create_task(speaker.run())
        conversations = [await first.get(), await second.get()]
        for one in conversations:
            assert isinstance(await one.hear(), Open)
        speaker.stop()
        async with asyncio.timeout(PATIENCE):
            await task

        for one in conversations:
            assert await one.hear() == Notification(6, 2)
            assert await one.hear() is None


async def test_cancelling_says_goodbye_too_and_no_deaf_peer_holds_it_up() -> None:
    speaker = BgpSpeaker("node1", lambda _: None)
    speaker.set_peers(Peering((peer(ONE, 64512, 64513),)))
    async with listening(ONE) as accepted:
        task = asyncio.create_task(speaker.run())
        one = await accepted.get()
        one.accept_open(await one.hear())
        assert await one.hear() == Keepalive()
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert time.monotonic() - started < PATIENCE
        assert await one.hear() == Notification(6, 2)


async def test_routes_and_peers_may_come_before_it_runs() -> None:
    speaker = BgpSpeaker("node1", lambda _: None)
    only = route("192.0.2.1/32")
    speaker.change_routes({only.prefix: only})
    speaker.set_peers(Peering((peer(ONE, 64512, 64513),)))
    async with listening(ONE) as accepted:
        task = asyncio.create_task(speaker.run())
        one = await accepted.get()
        one.accept_open(await one.hear())
        assert await one.hear() == Keepalive()
        update = await one.hear()
        assert isinstance(update, Update)
        assert [str(p) for reach in update.reach for p in reach.prefixes] == ["192.0.2.1/32"]
        speaker.stop()
        await task
