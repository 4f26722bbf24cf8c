"""The responder against arp-scan, thc-ipv6, and the kernel's neighbor table."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator

import pytest
from support.layer2.client_link import FENCE, VIP, Client, ClientLink, client_link, running_node
from support.net.requirements import require
from support.net.waiting import TIMEOUT, eventually

from speaker.responder.events import InterfaceAdded

pytestmark = pytest.mark.netns

VIP6 = "2001:db8::64"
OTHER6 = "2001:db8::65"


@pytest.fixture
def cables() -> Iterator[ClientLink]:
    with client_link(ipv6=True) as built:
        built.on_client("address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
        yield built


async def start(cables: ClientLink, *command: str) -> asyncio.subprocess.Process:
    """Start a program on the client."""
    require(shutil.which(command[0]) is not None, command[0])
    return await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", cables.client, *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def output_of(cables: ClientLink, *command: str) -> str:
    """Run a program on the client; return its output."""
    output, _ = await (await start(cables, *command)).communicate()
    return output.decode()


async def answering(cables: ClientLink) -> None:
    """Wait until the node answers in both protocols."""
    with Client(cables) as client:
        await client.answered()

    async def ask() -> str:
        return await output_of(cables, "ndisc6", "-q", "-r", "1", "-w", "300", VIP6, "eth0")

    await eventually(ask, lambda text: ":" in text)


async def test_arp_scan_finds_exactly_the_owned_addresses_once(cables: ClientLink) -> None:
    require(shutil.which("arp-scan") is not None, "arp-scan")
    async with running_node(VIP, FENCE):
        with Client(cables) as client:
            await client.answered()
        scan = ("arp-scan", "--interface=eth0", "--plain", "--quiet", "192.0.2.64/26")
        found = [line.split() for line in (await output_of(cables, *scan)).splitlines()]
    # A second answer for an address would be a line of its own, marked as a duplicate.
    assert found == [[VIP, cables.node_mac()]]


@pytest.mark.parametrize("address", [VIP, VIP6])
async def test_neighbor_unreachability_detection_succeeds(cables: ClientLink, address: str) -> None:
    mac = cables.node_mac()

    async def state() -> str:
        return cables.on_client("neigh", "show", address)

    async with running_node(VIP, VIP6):
        await answering(cables)
        # In state PROBE the kernel sends unicast requests, and fails after three.
        cables.on_client(
            *("neigh", "replace", address, "dev", "eth0", "lladdr", mac, "nud", "probe")
        )
        assert mac in await eventually(state, lambda entry: "REACHABLE" in entry)


@pytest.mark.parametrize("address", [VIP, VIP6])
async def test_kernel_resolves_the_address_when_it_sends(cables: ClientLink, address: str) -> None:
    family = 10 if ":" in address else 2
    send = f"import socket; socket.socket({family}, 2).sendto(b'x', ('{address}', 9))"

    async def state() -> str:
        await output_of(cables, sys.executable, "-c", send)
        return cables.on_client("neigh", "show", address)

    async with running_node(VIP, VIP6):
        await answering(cables)
        cables.on_client("neigh", "flush", "dev", "eth0")
        assert cables.node_mac() in await eventually(state, lambda entry: "REACHABLE" in entry)


async def test_alive6_finds_the_owned_address_and_no_other(cables: ClientLink) -> None:
    require(shutil.which("atk6-alive6") is not None, "atk6-alive6, of thc-ipv6")
    async with running_node(VIP, VIP6):
        await answering(cables)
        assert f"Alive: {VIP6} [NDP {cables.node_mac()}]" in await output_of(
            cables, "atk6-alive6", "eth0", VIP6
        )
        assert "Alive" not in await output_of(cables, "atk6-alive6", "eth0", OTHER6)


async def test_detect_sniffer6_detects_no_sniffer(cables: ClientLink) -> None:
    require(shutil.which("atk6-detect_sniffer6") is not None, "atk6-detect_sniffer6, of thc-ipv6")
    async with running_node(VIP, VIP6):
        await answering(cables)
        # Its frames have MAC addresses that only a sniffing interface lets through.
        cables.on_node("link", "set", "eth0", "promisc", "on")
        assert "No packets received" in await output_of(
            cables, "atk6-detect_sniffer6", "eth0", VIP6
        )


async def test_passive_discovery6_detects_a_takeover(cables: ClientLink) -> None:
    require(shutil.which("atk6-passive_discovery6") is not None, "passive_discovery6, of thc-ipv6")
    async with running_node() as node:
        await node.next_event(InterfaceAdded)
        tool = await start(cables, "stdbuf", "-o0", "atk6-passive_discovery6", "eth0")
        try:
            assert tool.stdout is not None
            async with asyncio.timeout(TIMEOUT):
                await tool.stdout.readuntil(b"Started")
                node.announce(VIP6)
                while VIP6 not in (await tool.stdout.readline()).decode():
                    pass
        finally:
            tool.kill()
            await tool.wait()
