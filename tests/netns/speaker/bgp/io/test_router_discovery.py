"""Router discovery on one end of a cable; scapy reads and writes the other end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from support.bgp_wire import Wire, inside, wire
from support.patience import PATIENCE
from support.running import while_running

from metallb_py.errors import LocalProtocolError
from speaker.bgp.io.router_discovery import LinkRouter
from speaker.linux.addresses import link_local_address

pytestmark = pytest.mark.netns

ROUTER = "fe80::42"


@pytest.fixture
def cable() -> Iterator[Wire]:
    with wire() as made, inside(made.node):
        yield made


class Router:
    """A router's interface."""

    def __init__(self, namespace: str) -> None:
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
            self.socket.bind(("eth0", 0x86DD))
        self.socket.setblocking(False)

    async def hears(self, kind: type[Packet]) -> Packet:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            while kind not in (frame := Ether(await loop.sock_recv(self.socket, 2048))):
                pass
        return frame

    def says(self, lifetime: int = 1800, source: str = ROUTER, **more: int) -> None:
        message = ICMPv6ND_RA(routerlifetime=lifetime)
        for name in more.keys() & {"cksum"}:
            setattr(message, name, more[name])
        header = IPv6(src=source, dst="ff02::1", hlim=more.get("hlim", 255))
        frame = Ether(dst="33:33:00:00:00:01") / header / message
        self.socket.send(bytes(frame))

    def asks(self) -> None:
        header = IPv6(src=ROUTER, dst="ff02::2", hlim=255)
        self.socket.send(bytes(Ether(dst="33:33:00:00:00:02") / header / ICMPv6ND_RS()))


@pytest.fixture
def router(cable: Wire) -> Iterator[Router]:
    made = Router(cable.router)
    with contextlib.closing(made.socket):
        yield made


@pytest.fixture
async def found() -> asyncio.Queue[None]:
    return asyncio.Queue()


@pytest.fixture
async def link(cable: Wire, found: asyncio.Queue[None]) -> AsyncIterator[LinkRouter]:
    async with looking("eth0", found) as made:
        yield made


@contextlib.asynccontextmanager
async def looking(interface: str, found: asyncio.Queue[None]) -> AsyncIterator[LinkRouter]:
    made = LinkRouter(interface, lambda: found.put_nowait(None))
    async with while_running(made.run()):
        yield made


def set_link(*words: str) -> None:
    subprocess.run(["ip", "link", "set", *words], check=True)


async def test_we_ask_and_say_so_that_others_believe_it(router: Router, link: LinkRouter) -> None:
    for kind in (ICMPv6ND_RS, ICMPv6ND_RA):
        frame = await router.hears(kind)
        header, message = frame[IPv6], frame[kind]
        assert (header.src, header.hlim) == (str(link_local_address("eth0")), 255)
        assert header.dst == ("ff02::1" if kind is ICMPv6ND_RA else "ff02::2")
        told = message.cksum
        del message.cksum
        assert told == IPv6(bytes(header))[kind].cksum
    assert frame[ICMPv6ND_RA].routerlifetime == 0


async def test_the_router_that_advertises_itself_is_found(
    router: Router, link: LinkRouter, found: asyncio.Queue[None]
) -> None:
    await router.hears(ICMPv6ND_RA)
    router.says(source="fe80::1", hlim=64)
    router.says(source="fe80::2", cksum=0xBAD)
    router.says(source="2001:db8::3")
    router.says()

    async with asyncio.timeout(PATIENCE):
        await found.get()
    assert await link.wait(0.0) == link.address == IPv6Address(ROUTER)
    assert found.empty()


async def test_who_asks_is_answered(router: Router, link: LinkRouter) -> None:
    for _ in range(3):
        await router.hears(ICMPv6ND_RA)
    loop = asyncio.get_running_loop()
    before = loop.time()
    router.asks()
    await router.hears(ICMPv6ND_RA)
    assert loop.time() - before < 7.0  # 7.5 s or more without being asked


async def test_an_interface_may_come_later(
    cable: Wire, router: Router, found: asyncio.Queue[None]
) -> None:
    async with looking("late0", found) as link:
        with pytest.raises(LocalProtocolError, match='interface "late0": no interface with'):
            await link.wait(0.1)
        set_link("eth0", "down")
        set_link("eth0", "name", "late0", "up")
        await router.hears(ICMPv6ND_RA)
        with pytest.raises(LocalProtocolError, match="no router advertises itself there"):
            await link.wait(0.0)
        router.says()
        assert await link.wait(PATIENCE) == IPv6Address(ROUTER)
