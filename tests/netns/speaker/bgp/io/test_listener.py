"""Acceptance of incoming BGP connections, on the two ends of a veth pair."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address

import pytest
from support.bgp.node import peer
from support.net.background import while_running
from support.net.namespaces import add_address, inside
from support.net.router_link import (
    NODE,
    NODE_SECOND,
    NODE_V6,
    ROUTER,
    ROUTER_V6,
    RouterLink,
)
from support.net.waiting import TIMEOUT

from metallb_py.model.peers import SessionParameters
from speaker.bgp.io.listener import (
    BgpListener,
    ConnectionsRefused,
    ListenerEvent,
    ListenFailed,
    UnknownPeerRejected,
)
from speaker.bgp.peering import ListenAt
from speaker.linux.tcp_md5 import sign_segments

pytestmark = pytest.mark.netns

Accepted = asyncio.Queue[socket.socket]


class Listening:
    """A listener, the connections that it accepted, and its events."""

    def __init__(self, at: ListenAt) -> None:
        self.accepted: Accepted = asyncio.Queue()
        self.events: asyncio.Queue[ListenerEvent] = asyncio.Queue()
        self.listener = BgpListener(at, self.events.put_nowait)

    def expect(self, *peers: SessionParameters) -> None:
        self.listener.expect(dict.fromkeys(peers, self.accepted.put_nowait))


@contextlib.asynccontextmanager
async def listening(
    *peers: SessionParameters, at: ListenAt | None = None
) -> AsyncIterator[Listening]:
    made = Listening(at or ListenAt())
    made.expect(*peers)
    try:
        async with while_running(made.listener.run()):
            yield made
    finally:
        while not made.accepted.empty():
            made.accepted.get_nowait().close()


def dial(
    cable: RouterLink,
    to: str,
    port: int = 179,
    sign: Callable[[socket.socket], None] | None = None,
    patience: float = TIMEOUT,
) -> socket.socket:
    """Connect from the router. Raises OSError."""
    with inside(cable.router):
        sock = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    with contextlib.ExitStack() as unless_connected:
        unless_connected.callback(sock.close)
        sock.settimeout(patience)
        if sign is not None:
            sign(sock)
        sock.connect(socket.getaddrinfo(to, port)[0][4])
        unless_connected.pop_all()
    return sock


async def connect(cable: RouterLink, to: str, **more: object) -> socket.socket:
    """Connect from the router, once the node listens. Raises OSError."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.to_thread(dial, cable, to, **more)


@pytest.mark.parametrize(("ours", "theirs"), [(NODE, ROUTER), (NODE_V6, ROUTER_V6)])
async def test_connection_of_a_configured_peer_is_accepted(
    cable: RouterLink, ours: str, theirs: str
) -> None:
    async with listening(peer("10.77.0.9", 1, 2), peer(theirs, 1, 2)) as node:
        with await connect(cable, ours) as sock:
            async with asyncio.timeout(TIMEOUT):
                taken = await node.accepted.get()
            assert taken.getpeername() == sock.getsockname()
            taken.close()


async def test_connection_of_an_unknown_peer_is_rejected_and_reported(cable: RouterLink) -> None:
    async with listening(peer("10.77.0.9", 1, 2)) as node:
        for _ in range(3):
            with await connect(cable, NODE) as sock:
                assert await asyncio.to_thread(sock.recv, 1) == b""
        assert [node.events.get_nowait() for _ in range(3)] == [UnknownPeerRejected(ROUTER)] * 3


async def test_peer_must_connect_to_its_source_address(cable: RouterLink) -> None:
    wanted = peer(ROUTER, 1, 2, source_address=ip_address(NODE_SECOND))
    async with listening(wanted) as node:
        with await connect(cable, NODE) as sock:
            assert await asyncio.to_thread(sock.recv, 1) == b""
        with await connect(cable, NODE_SECOND):
            async with asyncio.timeout(TIMEOUT):
                (await node.accepted.get()).close()


async def test_port_in_use_is_reported(cable: RouterLink) -> None:
    at = ListenAt(ip_address(NODE), 1179)
    with socket.create_server((NODE, 1179)):
        async with listening(peer(ROUTER, 1, 2), at=at) as node:
            async with asyncio.timeout(TIMEOUT):
                failed = await node.events.get()
            assert failed == ListenFailed(at, "address already in use")
            assert str(at) == "10.77.0.1:1179"


async def test_password_is_required_while_it_is_configured(cable: RouterLink) -> None:
    def sign(sock: socket.socket) -> None:
        sign_segments(sock, ip_address(NODE), "s3cret")

    async with listening(peer(ROUTER, 1, 2, password="s3cret")) as node:
        with pytest.raises(TimeoutError):
            await connect(cable, NODE, patience=0.5)
        with await connect(cable, NODE, sign=sign):
            async with asyncio.timeout(TIMEOUT):
                (await node.accepted.get()).close()
        node.expect(peer(ROUTER, 1, 2))
        with await connect(cable, NODE):
            async with asyncio.timeout(TIMEOUT):
                (await node.accepted.get()).close()


@pytest.mark.parametrize("password", ["", "s3cret"])
async def test_unnumbered_peer_with_a_password_is_rejected_until_discovered(
    cable: RouterLink, password: str
) -> None:
    for namespace, address in ((cable.node, "fe80::1/64"), (cable.router, "fe80::2/64")):
        add_address(namespace, address)
    with inside(cable.router):
        ours = f"fe80::1%{socket.if_nametoindex('eth0')}"
    async with listening(
        SessionParameters(1, 2, None, interface="eth0", password=password)
    ) as node:
        with await connect(cable, ours) as sock:
            if password:
                assert await asyncio.to_thread(sock.recv, 1) == b""
                assert isinstance(node.events.get_nowait(), UnknownPeerRejected)
            else:
                async with asyncio.timeout(TIMEOUT):
                    (await node.accepted.get()).close()


async def test_connection_rate_of_a_peer_is_limited_and_delays_no_other(
    cable: RouterLink,
) -> None:
    other = "10.77.0.4"
    words = ["address", "add", f"{other}/24", "dev", "eth0"]
    await asyncio.to_thread(subprocess.run, ["ip", "-n", cable.router, *words], check=True)
    async with listening(peer(ROUTER, 1, 2), peer(other, 1, 2)) as node:
        (await connect(cable, NODE)).close()
        for _ in range(100):
            (await asyncio.to_thread(dial, cable, NODE)).close()

        def from_other(sock: socket.socket) -> None:
            sock.bind((other, 0))

        with await connect(cable, NODE, sign=from_other) as sock:
            taken: list[socket.socket] = []
            async with asyncio.timeout(5):
                while not taken or taken[-1].getpeername() != sock.getsockname():
                    taken.append(await node.accepted.get())
        refused = 101 - (len(taken) - 1)
        for each in taken:
            each.close()
        assert refused > 50
        # Refused connections are reported with the next accepted one.
        async with asyncio.timeout(10):
            while node.events.empty():
                (await asyncio.to_thread(dial, cable, NODE)).close()
        event = node.events.get_nowait()
        assert isinstance(event, ConnectionsRefused)
        assert event.address == ROUTER
        assert event.count > 0
