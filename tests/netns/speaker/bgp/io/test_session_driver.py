"""How one session deals with its TCP connection, over loopback of a namespace."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.bgp_node import Node, peer, route, running_node
from support.bgp_peers import collecting, listening
from support.bgp_wire import NODE, NODE_SECOND, NODE_V6, eventually, inside, wire
from support.patience import PATIENCE

from metallb_py.protocols.bgp.codec.messages import Keepalive, Notification, Open
from speaker.bgp.events import (
    ConnectFailed,
    NotificationReceived,
    PrefixCounts,
    SessionDown,
    SessionUp,
    UpdateReceived,
)

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with wire() as made, inside(made.node):
        yield


@pytest.fixture
async def node(namespace: None) -> AsyncIterator[Node]:
    async with running_node() as made:
        yield made


async def test_a_refused_connection_is_told_in_words_and_tried_again(node: Node) -> None:
    node.peer_with(peer(NODE, 64512, 64513))

    failed = [await node.saw(ConnectFailed) for _ in range(2)]
    assert failed[0].error == 'dial "10.77.0.1:179": connection refused'

    async with collecting(NODE):  # the third attempt comes a second later
        assert (await node.saw(SessionUp)).peer_asn == 64513


async def test_the_source_address_is_used_and_becomes_the_next_hop(node: Node) -> None:
    async with collecting(NODE) as collected:
        source = peer(NODE_SECOND, 1, 1).address
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(NODE, 64512, 64513, source_address=source))

        assert await collected.has(bool) == {"192.0.2.1/32": [NODE_SECOND]}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("10.77.0.250", 'Address "10.77.0.250" doesn\'t exist on this host'),
        (NODE_V6, f'source address "{NODE_V6}" is of another family than the peer'),
    ],
)
async def test_a_source_address_that_cannot_be_used_is_told(
    node: Node, source: str, error: str
) -> None:
    node.peer_with(peer(NODE, 64512, 64513, source_address=peer(source, 1, 1).address))

    assert (await node.saw(ConnectFailed)).error == error


async def test_a_password_that_is_too_long_is_told_without_it(node: Node) -> None:
    node.peer_with(peer(NODE, 64512, 64513, password="s3cret" * 20))

    assert (await node.saw(ConnectFailed)).error == "password takes 120 bytes, want up to 80"


async def test_the_open_says_what_the_peer_was_configured_with(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(
            peer(NODE, 4_200_000_000, 64513, hold_time=30, router_id=peer(NODE, 1, 1).address)
        )
        ours = await (await accepted.get()).hear()

        assert isinstance(ours, Open)
        assert (ours.asn, ours.hold_time, str(ours.router_id)) == (4_200_000_000, 30, NODE)


async def test_over_ipv6_the_router_id_is_the_interfaces_ipv4_address(node: Node) -> None:
    async with listening(NODE_V6) as accepted:
        node.peer_with(peer(NODE_V6, 64512, 64513))
        ours = await (await accepted.get()).hear()

        assert isinstance(ours, Open)
        assert str(ours.router_id) == NODE


async def test_over_ipv6_without_one_it_is_made_from_the_nodes_name(node: Node) -> None:
    remove_ipv4_addresses()
    async with listening(NODE_V6) as accepted:
        node.peer_with(peer(NODE_V6, 64512, 64513))
        ours = await (await accepted.get()).hear()

        assert isinstance(ours, Open)
        assert str(ours.router_id) == "64.37.239.133"


async def test_a_peers_notification_is_reported_and_the_session_dialled_again(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.hear())
        assert (await node.saw(SessionUp)).hold_time == 90
        first.say(Notification(6, 4, b"\x06coffee"))
        text = 'got BGP notification code 0x0604 (cease: administrative reset: "coffee")'

        assert (await node.saw(NotificationReceived)).text == text
        assert (await node.saw(SessionDown)).reason == text
        second = await accepted.get()
        second.accept_open(await second.hear())
        await node.saw(SessionUp)


async def test_a_closed_connection_is_a_session_down(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.hear())
        await node.saw(SessionUp)
        assert await first.hear() == Keepalive()
        first.writer.close()

        assert (await node.saw(SessionDown)).reason == "connection closed by peer"


async def test_a_silent_peer_is_told_and_left_when_its_hold_time_is_over(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513, hold_time=3))
        first = await accepted.get()
        first.accept_open(await first.hear())
        await node.saw(SessionUp)
        before = time.monotonic()
        heard = []
        while (message := await first.hear()) is not None:
            heard.append(message)

        assert 2.9 < time.monotonic() - before < 10.0
        assert heard[-1] == Notification(4, 0)
        assert heard[:-1] in ([Keepalive()] * 3, [Keepalive()] * 4)
        assert "hold timer expired" in (await node.saw(SessionDown)).reason


async def timer_of_the_session() -> str:
    """What the kernel says of our end of the connection."""
    command = ("ss", "-Htno", "state", "established", "dport", "=", ":179")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


@pytest.mark.parametrize(("hold_time", "watched"), [(0, True), (90, False)])
async def test_without_hold_time_the_kernel_watches_the_peer(
    node: Node, hold_time: int, watched: bool
) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.hear(), hold_time)
        assert (await node.saw(SessionUp)).hold_time == hold_time

        # Until all is acknowledged, another timer is told.
        timer = await eventually(timer_of_the_session, lambda said: "timer:(on" not in said)
        assert ":179" in timer
        assert ("timer:(keepalive,2" in timer or "timer:(keepalive,30sec" in timer) == watched


async def test_malformed_updates_are_reported_and_harmless(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.hear())
        await node.saw(SessionUp)
        first.writer.write(b"\xff" * 16 + bytes.fromhex("001c 02 0000 0000 20c0000201"))

        problem = (await node.saw(UpdateReceived)).problem
        assert problem
        assert "ORIGIN" not in problem
        first.writer.write(b"\xff" * 16 + bytes.fromhex("0017 02 0000 0000"))  # End-of-RIB
        assert (await node.saw(UpdateReceived)).problem == ""
        node.advertise(route("192.0.2.1/32"))
        async with asyncio.timeout(PATIENCE):
            while (await node.saw(PrefixCounts)).announced != 1:
                pass


async def test_no_descriptor_outlives_its_session(node: Node) -> None:
    async with collecting(NODE):
        before = await open_descriptors()
        for _ in range(3):
            node.peer_with(peer(NODE, 64512, 64513), peer(NODE, 64512, 64513, port=1790))
            await node.saw(SessionUp)
            await node.saw(ConnectFailed)
            node.peer_with()
            await eventually(open_descriptors, lambda number: number == before)


async def open_descriptors() -> int:
    return len(descriptors())


def descriptors() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


def remove_ipv4_addresses() -> None:
    subprocess.run(["ip", "-4", "address", "flush", "dev", "eth0"], check=True)
