"""Router discovery on one end of a veth pair; scapy reads and writes the other end."""

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
from support.net.background import while_running
from support.net.namespaces import inside
from support.net.router_link import RouterLink
from support.net.waiting import TIMEOUT

from metallb_py.errors import LocalProtocolError
from speaker.bgp.io.router_discovery import LinkRouter
from speaker.linux.addresses import link_local_address

pytestmark = pytest.mark.netns

ROUTER = "fe80::42"


class Router:
    """A router's interface."""

    def __init__(self, namespace: str) -> None:
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
            self.socket.bind(("eth0", 0x86DD))
        self.socket.setblocking(False)

    async def receive(self, kind: type[Packet]) -> Packet:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT):
            while kind not in (frame := Ether(await loop.sock_recv(self.socket, 2048))):
                pass
        return frame

    def advertise(self, lifetime: int = 1800, source: str = ROUTER, **more: int) -> None:
        message = ICMPv6ND_RA(routerlifetime=lifetime)
        for name in more.keys() & {"cksum"}:
            setattr(message, name, more[name])
        header = IPv6(src=source, dst="ff02::1", hlim=more.get("hlim", 255))
        frame = Ether(dst="33:33:00:00:00:01") / header / message
        self.socket.send(bytes(frame))

    def solicit(self) -> None:
        header = IPv6(src=ROUTER, dst="ff02::2", hlim=255)
        self.socket.send(bytes(Ether(dst="33:33:00:00:00:02") / header / ICMPv6ND_RS()))


@pytest.fixture
def router(cable: RouterLink) -> Iterator[Router]:
    made = Router(cable.router)
    with contextlib.closing(made.socket):
        yield made


@pytest.fixture
async def found() -> asyncio.Queue[None]:
    return asyncio.Queue()


@pytest.fixture
async def link(cable: RouterLink, found: asyncio.Queue[None]) -> AsyncIterator[LinkRouter]:
    async with discovering("eth0", found) as made:
        yield made


@contextlib.asynccontextmanager
async def discovering(interface: str, found: asyncio.Queue[None]) -> AsyncIterator[LinkRouter]:
    made = LinkRouter(interface, lambda: found.put_nowait(None))
    async with while_running(made.run()):
        yield made


def set_link(*words: str) -> None:
    subprocess.run(["ip", "link", "set", *words], check=True)


async def test_sent_router_solicitation_and_advertisement_are_valid(
    router: Router, link: LinkRouter
) -> None:
    for kind in (ICMPv6ND_RS, ICMPv6ND_RA):
        frame = await router.receive(kind)
        header, message = frame[IPv6], frame[kind]
        assert (header.src, header.hlim) == (str(link_local_address("eth0")), 255)
        assert header.dst == ("ff02::1" if kind is ICMPv6ND_RA else "ff02::2")
        checksum = message.cksum
        del message.cksum
        assert checksum == IPv6(bytes(header))[kind].cksum
    assert frame[ICMPv6ND_RA].routerlifetime == 0


async def test_router_that_sends_a_valid_advertisement_is_found(
    router: Router, link: LinkRouter, found: asyncio.Queue[None]
) -> None:
    await router.receive(ICMPv6ND_RA)
    router.advertise(source="fe80::1", hlim=64)
    router.advertise(source="fe80::2", cksum=0xBAD)
    router.advertise(source="2001:db8::3")
    router.advertise()

    async with asyncio.timeout(TIMEOUT):
        await found.get()
    assert await link.wait(0.0) == link.address == IPv6Address(ROUTER)
    assert found.empty()


async def test_router_solicitation_is_answered(router: Router, link: LinkRouter) -> None:
    for _ in range(3):
        await router.receive(ICMPv6ND_RA)
    loop = asyncio.get_running_loop()
    before = loop.time()
    router.solicit()
    await router.receive(ICMPv6ND_RA)
    assert loop.time() - before < 7.0  # 7.5 s or more without a solicitation


async def test_interface_that_is_added_later_is_used(
    cable: RouterLink, router: Router, found: asyncio.Queue[None]
) -> None:
    async with discovering("late0", found) as link:
        with pytest.raises(LocalProtocolError, match='interface "late0": no interface with'):
            await link.wait(0.1)
        set_link("eth0", "down")
        set_link("eth0", "name", "late0", "up")
        await router.receive(ICMPv6ND_RA)
        with pytest.raises(LocalProtocolError, match="no router advertises itself there"):
            await link.wait(0.0)
        router.advertise()
        assert await link.wait(TIMEOUT) == IPv6Address(ROUTER)
