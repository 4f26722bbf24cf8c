"""One session and its TCP connection, over loopback of a namespace."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest
from support.bgp.node import Node, peer, route
from support.bgp.peers import listening, running_collector
from support.net.router_link import NODE, NODE_SECOND, NODE_V6
from support.net.waiting import TIMEOUT, eventually

from metallb_py.protocols.bgp.codec.messages import Keepalive, Notification, Open
from metallb_py.protocols.bgp.effects import (
    ConnectFailed,
    NotificationReceived,
    SessionDown,
    SessionUp,
    UpdateReceived,
)
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("cable")]


async def test_refused_connection_is_reported_and_retried(node: Node) -> None:
    node.peer_with(peer(NODE, 64512, 64513))

    failed = [await node.next_event(ConnectFailed) for _ in range(2)]
    assert failed[0].error == 'dial "10.77.0.1:179": connection refused'

    async with running_collector(NODE):  # the third attempt comes a second later
        assert (await node.next_event(SessionUp)).terms.peer_asn == 64513


async def test_source_address_is_used_and_becomes_the_next_hop(node: Node) -> None:
    async with running_collector(NODE) as collected:
        source = peer(NODE_SECOND, 1, 1).address
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(NODE, 64512, 64513, source_address=source))

        assert await collected.wait_table(bool) == {"192.0.2.1/32": [NODE_SECOND]}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("10.77.0.250", 'Address "10.77.0.250" doesn\'t exist on this host'),
        (NODE_V6, f'source address "{NODE_V6}" is of another family than the peer'),
    ],
)
async def test_unusable_source_address_is_reported(node: Node, source: str, error: str) -> None:
    node.peer_with(peer(NODE, 64512, 64513, source_address=peer(source, 1, 1).address))

    assert (await node.next_event(ConnectFailed)).error == error


async def test_too_long_password_is_reported_without_its_text(node: Node) -> None:
    node.peer_with(peer(NODE, 64512, 64513, password="s3cret" * 20))

    assert (await node.next_event(ConnectFailed)).error == "password takes 120 bytes, want up to 80"


async def test_open_has_the_configured_parameters(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(
            peer(NODE, 4_200_000_000, 64513, hold_time=30, router_id=peer(NODE, 1, 1).address)
        )
        ours = await (await accepted.get()).receive()

        assert isinstance(ours, Open)
        assert (ours.asn, ours.hold_time, str(ours.router_id)) == (4_200_000_000, 30, NODE)


async def test_router_id_over_ipv6_is_the_interfaces_ipv4_address(node: Node) -> None:
    async with listening(NODE_V6) as accepted:
        node.peer_with(peer(NODE_V6, 64512, 64513))
        ours = await (await accepted.get()).receive()

        assert isinstance(ours, Open)
        assert str(ours.router_id) == NODE


async def test_router_id_without_ipv4_is_derived_from_the_nodes_name(node: Node) -> None:
    remove_ipv4_addresses()
    async with listening(NODE_V6) as accepted:
        node.peer_with(peer(NODE_V6, 64512, 64513))
        ours = await (await accepted.get()).receive()

        assert isinstance(ours, Open)
        assert str(ours.router_id) == "64.37.239.133"


async def test_received_notification_is_reported_and_the_session_reconnects(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.receive())
        assert (await node.next_event(SessionUp)).terms.hold_time == 90
        first.send(Notification(6, 4, b"\x06coffee"))
        text = 'got BGP notification code 0x0604 (cease: administrative reset: "coffee")'

        assert (await node.next_event(NotificationReceived)).text == text
        assert (await node.next_event(SessionDown)).reason == text
        second = await accepted.get()
        second.accept_open(await second.receive())
        await node.next_event(SessionUp)


async def test_connection_closed_by_the_peer_is_a_session_down(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.receive())
        await node.next_event(SessionUp)
        assert await first.receive() == Keepalive()
        first.writer.close()

        assert (await node.next_event(SessionDown)).reason == "connection closed by peer"


async def test_hold_timer_expiry_sends_notification_4(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513, hold_time=3))
        first = await accepted.get()
        first.accept_open(await first.receive())
        await node.next_event(SessionUp)
        before = time.monotonic()
        received = []
        while (message := await first.receive()) is not None:
            received.append(message)

        assert 2.9 < time.monotonic() - before < 10.0
        assert received[-1] == Notification(4, 0)
        assert received[:-1] in ([Keepalive()] * 3, [Keepalive()] * 4)
        assert "hold timer expired" in (await node.next_event(SessionDown)).reason


async def timer_of_the_session() -> str:
    """Return the kernel's description of our end of the connection."""
    command = ("ss", "-Htno", "state", "established", "dport", "=", ":179")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


@pytest.mark.parametrize(("hold_time", "keepalive"), [(0, True), (90, False)])
async def test_hold_time_0_enables_tcp_keepalive(
    node: Node, hold_time: int, keepalive: bool
) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.receive(), hold_time)
        assert (await node.next_event(SessionUp)).terms.hold_time == hold_time

        # Until all data is acknowledged, the kernel reports another timer.
        timer = await eventually(timer_of_the_session, lambda text: "timer:(on" not in text)
        assert ":179" in timer
        assert ("timer:(keepalive,2" in timer or "timer:(keepalive,30sec" in timer) == keepalive


async def test_malformed_updates_are_reported_and_keep_the_session(node: Node) -> None:
    async with listening(NODE) as accepted:
        node.peer_with(peer(NODE, 64512, 64513))
        first = await accepted.get()
        first.accept_open(await first.receive())
        await node.next_event(SessionUp)
        first.writer.write(b"\xff" * 16 + bytes.fromhex("001c 02 0000 0000 20c0000201"))

        problem = (await node.next_event(UpdateReceived)).update.malformed
        assert problem
        assert "ORIGIN" not in problem
        first.writer.write(b"\xff" * 16 + bytes.fromhex("0017 02 0000 0000"))  # End-of-RIB
        assert (await node.next_event(UpdateReceived)).update.malformed == ""
        node.advertise(route("192.0.2.1/32"))
        async with asyncio.timeout(TIMEOUT):
            while (await node.next_event(PrefixCounts)).announced != 1:
                pass


async def test_no_file_descriptor_outlives_its_session(node: Node) -> None:
    async with running_collector(NODE):
        before = await open_descriptors()
        for _ in range(3):
            node.peer_with(peer(NODE, 64512, 64513), peer(NODE, 64512, 64513, port=1790))
            await node.next_event(SessionUp)
            await node.next_event(ConnectFailed)
            node.peer_with()
            await eventually(open_descriptors, lambda number: number == before)


async def open_descriptors() -> int:
    return len(descriptors())


def descriptors() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


def remove_ipv4_addresses() -> None:
    subprocess.run(["ip", "-4", "address", "flush", "dev", "eth0"], check=True)
