"""The BGP sessions of a node against peers in the same process, over loopback of a namespace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from support.bgp.node import Node, effect_of, peer, route
from support.bgp.peers import PeerConnection, listening, running_collector
from support.net.waiting import TIMEOUT

from metallb_py.addresses import IPNetwork
from metallb_py.model.peers import SessionParameters
from metallb_py.model.routes import UNNAMED
from metallb_py.protocols.bgp.codec.messages import Keepalive, Notification, Open
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.effects import SessionUp, UpdatesSent
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts
from speaker.bgp.events import PeerAdded, PeerRemoved
from speaker.bgp.io.sessions import COALESCING, BgpSpeaker
from speaker.bgp.peering import Peering, RemovalReason

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("cable")]

ONE, TWO = "127.0.0.1", "127.0.0.2"
NAMED = frozenset({"tor"})


async def test_every_route_is_advertised_to_every_peer(node: Node) -> None:
    async with running_collector(ONE) as one, running_collector(TWO) as two:
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(ONE, 64512, 64513), peer(TWO, 64512, 64513))

        assert await one.wait_table(bool) == {"192.0.2.1/32": [ONE]}
        assert await two.wait_table(bool) == {"192.0.2.1/32": [ONE]}

        node.advertise(route("192.0.2.2/32"))
        await one.wait_table(lambda table: table == {"192.0.2.2/32": [ONE]})
        await two.wait_table(lambda table: table == {"192.0.2.2/32": [ONE]})


async def test_one_address_with_two_ports_is_two_peers(node: Node) -> None:
    async with running_collector(ONE, 1791) as one, running_collector(ONE, 1792) as two:
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(ONE, 64512, 64513, port=1791), peer(ONE, 64512, 64513, port=1792))

        await one.wait_table(bool)
        await two.wait_table(bool)
        assert {str((await node.next_peer_event(SessionUp)).peer) for _ in range(2)} == {
            "127.0.0.1:1791",
            "127.0.0.1:1792",
        }


async def test_burst_of_route_changes_is_sent_as_one_update(node: Node) -> None:
    async with running_collector(ONE) as one:
        node.peer_with(peer(ONE, 64512, 64513))
        await node.next_event(SessionUp)
        routes = [route(f"192.0.2.{number}/32") for number in range(10)]
        for number in range(11):
            node.advertise(*routes[:number])
            await asyncio.sleep(0)

        await one.wait_table(lambda table: len(table) == 10)
        assert (await node.next_event(UpdatesSent)).count == 1
        assert not node.pending(UpdatesSent)


async def test_reload_disturbs_only_changed_peers(node: Node) -> None:
    async with running_collector(ONE) as one, running_collector(TWO) as two:
        kept, gone = peer(ONE, 64512, 64513), peer(TWO, 64512, 64513)
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(kept, gone)
        await one.wait_table(bool)
        await two.wait_table(bool)
        node.events.clear()
        node.peer_with(kept)
        await two.wait_table(lambda table: not table)

        assert node.events == [PeerRemoved(gone, RemovalReason.REMOVED_FROM_CONFIG)]
        assert all(table for table in one.tables[1:])


async def test_filtered_peer_is_distinguished_from_a_removed_one(node: Node) -> None:
    async with running_collector(ONE):
        session = peer(ONE, 64512, 64513)
        node.peer_with(session)
        await node.next_event(SessionUp)
        node.speaker.set_peers(Peering((), frozenset({session})))

        removed = await node.next_event(PeerRemoved)
        assert removed.reason is RemovalReason.FILTERED_BY_NODE_SELECTOR


async def test_changed_peer_is_closed_before_its_successor_connects(node: Node) -> None:
    async with listening(ONE) as accepted:
        node.peer_with(peer(ONE, 64512, 64513))
        old = await accepted.get()
        assert isinstance(await old.receive(), Open)
        node.peer_with(peer(ONE, 64512, 64513, hold_time=30))

        assert await old.receive() == Notification(6, 3)
        assert await old.receive() is None
        successor = await (await accepted.get()).receive()
        assert isinstance(successor, Open)
        assert successor.hold_time == 30
        assert [type(effect_of(event)) for event in node.events] == [
            PeerAdded,
            PrefixCounts,
            PeerRemoved,
            PeerAdded,
            PrefixCounts,
        ]


async def test_a_change_of_all_peers_costs_the_same_for_each(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = [peer(ONE, 64512, 64513, port=port, passive=True) for port in range(1000, 1200)]
    node.peer_with(*peers)
    async with asyncio.timeout(TIMEOUT):
        while len(node.pending(PeerAdded)) < len(peers):
            await asyncio.sleep(COALESCING)
    labels: list[None] = []
    label_of = SessionParameters.__str__
    monkeypatch.setattr(
        SessionParameters, "__str__", lambda each: labels.append(None) or label_of(each)
    )
    node.peer_with(*(replace(each, hold_time=30) for each in peers))
    async with asyncio.timeout(TIMEOUT):
        while len(node.pending(PeerAdded)) < 2 * len(peers):
            await asyncio.sleep(COALESCING)

    assert len(labels) < 10 * len(peers)


async def test_unresponsive_or_missing_router_delays_no_other(node: Node) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(listening(ONE))
        good = await stack.enter_async_context(running_collector(TWO))
        node.advertise(route("192.0.2.1/32"))
        before = time.monotonic()
        node.peer_with(
            peer(ONE, 64512, 64513),
            peer("10.77.0.99", 64512, 64513),  # no host answers ARP for it
            peer(ONE, 64512, 64513, port=1790),  # refuses
            peer(TWO, 64512, 64513),
        )
        await good.wait_table(bool)

        assert (
            time.monotonic() - before < 2.9
        )  # the kernel tries to resolve the missing one for 3 s


async def test_router_that_stops_reading_delays_no_other_and_skips_updates(
    node: Node,
) -> None:
    async with listening(ONE) as accepted, running_collector(TWO) as good:
        node.peer_with(peer(ONE, 64512, 64513, hold_time=0), peer(TWO, 64512, 64513))
        stalled = await accepted.get()
        stalled.accept_open(await stalled.receive(), hold_time=0)
        for _ in range(2):
            await node.next_event(SessionUp)
        sets = [[route(f"10.{x}.{n >> 8}.{n & 255}/32") for n in range(10_000)] for x in range(8)]
        for routes in sets:
            node.advertise(*routes)
            await good.wait_table(lambda table, wanted=str(routes[0][0]): wanted in table)

        known: set[IPNetwork] = set()
        sent = 0
        while known != dict(sets[-1]).keys():
            message = await stalled.receive()
            if isinstance(message, Update):
                known -= set(message.withdrawn)
                known |= {prefix for reach in message.reach for prefix in reach.prefixes}
                sent += len(message.withdrawn) + sum(len(reach.prefixes) for reach in message.reach)
        # Each set was announced and all but the last withdrawn: 150,000 prefixes for a peer
        # that reads. Buffers hold some 30,000, then comes the difference to the last set.
        assert sent < 75_000


def nothing_else(_: Node) -> None:
    pass


def another_route(node: Node) -> None:
    node.speaker.change_routes(dict([route("192.0.2.2/32")]))


def another_group(node: Node) -> None:
    session = peer(ONE, 64512, 64513)
    node.speaker.change_routes(dict([route("192.0.2.2/32"), route("192.0.2.3/32")]), NAMED)
    node.speaker.set_peers(Peering((session,), peer_groups={session: NAMED}))


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        (nothing_else, ["End-of-RIB"]),
        (another_route, ["192.0.2.2/32", "End-of-RIB"]),
        (another_group, ["192.0.2.2/32", "192.0.2.3/32", "-192.0.2.1/32", "End-of-RIB"]),
    ],
)
async def test_end_of_rib_follows_the_routes_of_the_initial_sync(
    node: Node, change: Callable[[Node], None], sent: list[str]
) -> None:
    async with listening(ONE) as accepted:
        node.speaker.change_routes(dict([route("192.0.2.1/32")]))
        node.peer_with(peer(ONE, 64512, 64513))
        established = await accepted.get()
        established.accept_open(await established.receive())
        assert await received(established, 1) == ["192.0.2.1/32"]

        change(node)
        node.speaker.initial_sync_done()
        assert await received(established, len(sent)) == sent
        another = route("192.0.2.9/32")
        node.speaker.change_routes(dict([another]), NAMED if change is another_group else UNNAMED)
        assert await received(established, 1) == [str(another[0])], "End-of-RIB is sent once"


async def test_a_session_that_is_added_after_the_initial_sync_gets_end_of_rib(node: Node) -> None:
    async with listening(ONE) as accepted:
        node.speaker.change_routes(dict([route("192.0.2.1/32")]))
        node.speaker.initial_sync_done()
        await asyncio.sleep(2 * COALESCING)
        node.peer_with(peer(ONE, 64512, 64513))
        added = await accepted.get()
        added.accept_open(await added.receive())

        assert await received(added, 2) == ["192.0.2.1/32", "End-of-RIB"]


async def received(connection: PeerConnection, number: int) -> list[str]:
    """Return the prefixes and End-of-RIBs of the next UPDATEs, this many in all."""
    found: list[str] = []
    async with asyncio.timeout(TIMEOUT):
        while len(found) < number:
            message = await connection.receive()
            assert message is not None, found
            if isinstance(message, Update):
                found += sorted(str(prefix) for reach in message.reach for prefix in reach.prefixes)
                found += [f"-{prefix}" for prefix in message.withdrawn]
                found += ["End-of-RIB"] if message.end_of_rib is not None else []
    return found


async def test_stop_sends_cease_administrative_shutdown_to_every_peer() -> None:
    events: list[object] = []
    speaker = BgpSpeaker("node1", events.append)
    speaker.set_peers(Peering((peer(ONE, 64512, 64513), peer(TWO, 64512, 64513))))
    async with listening(ONE) as first, listening(TWO) as second:
        task = asyncio.create_task(speaker.run())
        connections = [await first.get(), await second.get()]
        for one in connections:
            assert isinstance(await one.receive(), Open)
        speaker.stop()
        async with asyncio.timeout(TIMEOUT):
            await task

        for one in connections:
            assert await one.receive() == Notification(6, 2)
            assert await one.receive() is None


async def test_cancellation_sends_cease_without_waiting_for_a_stalled_peer() -> None:
    speaker = BgpSpeaker("node1", lambda _: None)
    speaker.set_peers(Peering((peer(ONE, 64512, 64513),)))
    async with listening(ONE) as accepted:
        task = asyncio.create_task(speaker.run())
        one = await accepted.get()
        one.accept_open(await one.receive())
        assert await one.receive() == Keepalive()
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert time.monotonic() - started < TIMEOUT
        assert await one.receive() == Notification(6, 2)


async def test_routes_and_peers_may_be_set_before_run() -> None:
    speaker = BgpSpeaker("node1", lambda _: None)
    only = route("192.0.2.1/32")
    speaker.change_routes(dict([only]))
    speaker.set_peers(Peering((peer(ONE, 64512, 64513),)))
    async with listening(ONE) as accepted:
        task = asyncio.create_task(speaker.run())
        one = await accepted.get()
        one.accept_open(await one.receive())
        assert await one.receive() == Keepalive()
        update = await one.receive()
        assert isinstance(update, Update)
        assert [str(p) for reach in update.reach for p in reach.prefixes] == ["192.0.2.1/32"]
        speaker.stop()
        await task
