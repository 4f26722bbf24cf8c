"""Asking a wire: one answer, several, none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest
from scapy.layers.l2 import ARP, Ether
from support.bgp_wire import inside
from support.layer2_wire import VIP, Client, Wire, running_node, wire

from metallb_py.addresses import parse_address
from metallb_py.lab.resolve import resolve

pytestmark = pytest.mark.netns
VIP6 = "2001:db8::64"
SCRIPT = """
import sys
from metallb_py.addresses import parse_address
from metallb_py.lab.resolve import resolve
print(*resolve(parse_address(sys.argv[1]), sys.argv[2]))
"""


@pytest.fixture
def cables() -> Iterator[Wire]:
    with wire(ipv6=True) as built:
        yield built


async def asked(cables: Wire, address: str, interface: str = "eth0") -> list[str]:
    """Ask in a process of its own: scapy looks at the interfaces that there are when it starts."""
    with inside(cables.client):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT, address, interface, stdout=asyncio.subprocess.PIPE
        )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode().split()


@pytest.mark.parametrize("interface", ["eth0", ""])
async def test_one_answers(cables: Wire, interface: str) -> None:
    async with running_node(VIP):
        with Client(cables) as client:
            await client.answered()
        assert await asked(cables, VIP, interface) == [cables.node_mac()]


async def test_one_answers_ipv6(cables: Wire) -> None:
    async with running_node(VIP, VIP6):
        with Client(cables) as client:
            await client.answered()
        assert await asked(cables, VIP6) == [cables.node_mac()]


async def test_nobody_answers(cables: Wire) -> None:
    assert await asked(cables, "192.0.2.9") == []


async def test_a_duplicate_is_heard(cables: Wire) -> None:
    """The test itself is a second host, on the node's side of the wire."""
    other = "06:00:00:00:00:01"
    async with running_node(VIP):
        with Client(cables) as client:
            await client.answered()
        with Client(Wire(cables.client, cables.node)) as second:

            async def answer() -> None:
                while True:
                    frame = await second.frame()
                    if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == VIP:
                        reply = ARP(op=2, hwsrc=other, psrc=VIP, hwdst=frame.src, pdst=frame.psrc)
                        second.send(Ether(src=other, dst=frame.src) / reply)

            task = asyncio.create_task(answer())
            try:
                assert await asked(cables, VIP) == sorted([other, cables.node_mac()])
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(OSError, match="no interface eth77"):
        resolve(parse_address(VIP), "eth77")
