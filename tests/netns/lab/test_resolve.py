"""Resolution of an address on a link: one answer, several, none."""

from __future__ import annotations

import asyncio
import sys

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import VIP, Client, ClientLink, client_link_fixture, running_node
from support.net.namespaces import inside

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


cables = client_link_fixture(ipv6=True)


async def resolved(cables: ClientLink, address: str, interface: str = "eth0") -> list[str]:
    """Resolve in a process of its own: scapy reads the list of interfaces when it starts."""
    with inside(cables.client):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT, address, interface, stdout=asyncio.subprocess.PIPE
        )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().split()


@pytest.mark.parametrize("interface", ["eth0", ""])
async def test_arp_resolution_returns_one_answer(cables: ClientLink, interface: str) -> None:
    async with running_node(VIP):
        with Client(cables) as client:
            await client.answered()
        assert await resolved(cables, VIP, interface) == [cables.node_mac()]


async def test_ndp_resolution_returns_one_answer(cables: ClientLink) -> None:
    async with running_node(VIP, VIP6):
        with Client(cables) as client:
            await client.answered()
        assert await resolved(cables, VIP6) == [cables.node_mac()]


async def test_resolution_without_an_answer_is_empty(cables: ClientLink) -> None:
    assert await resolved(cables, "192.0.2.9") == []


async def test_duplicate_arp_answer_is_returned(cables: ClientLink) -> None:
    """The test itself is a second host, on the node's side of the link."""
    other = "06:00:00:00:00:01"
    async with running_node(VIP):
        with Client(cables) as client:
            await client.answered()
        with Client(ClientLink(cables.client, cables.node)) as second:

            async def answer() -> None:
                while True:
                    frame = await second.frame()
                    if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == VIP:
                        reply = ARP(op=2, hwsrc=other, psrc=VIP, hwdst=frame.src, pdst=frame.psrc)
                        second.send(Ether(src=other, dst=frame.src) / reply)

            task = asyncio.create_task(answer())
            try:
                assert await resolved(cables, VIP) == sorted([other, cables.node_mac()])
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def test_missing_interface_is_an_error() -> None:
    with pytest.raises(OSError, match="no interface eth77"):
        resolve(parse_address(VIP), "eth77")
