"""Events and counters of the responder, for the operator's logs and metrics."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import (
    BROADCAST,
    CLIENT_IP,
    ETH_P_IPV6,
    FENCE,
    VIP,
    Client,
    client_link,
    running_node,
)

from speaker.responder.events import (
    Counters,
    InterfaceAdded,
    InterfaceRemoved,
    SendFailed,
)

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[4]


async def test_interfaces_are_reported_once_each() -> None:
    with client_link() as cables:
        async with running_node() as node:
            assert (await node.next_event(InterfaceAdded)).interface == "eth0"
            cables.connect("eth1")
            assert (await node.next_event(InterfaceAdded)).interface == "eth1"
            cables.on_node("link", "del", "eth0")
            assert (await node.next_event(InterfaceRemoved)).interface == "eth0"
            cables.on_node("link", "set", "eth1", "name", "up1")
            cables.on_node("link", "set", "up1", "up")
            assert (await node.next_event(InterfaceRemoved)).interface == "eth1"
            assert (await node.next_event(InterfaceAdded)).interface == "up1"
            assert not [e for e in node.events if isinstance(e, InterfaceAdded | InterfaceRemoved)]


async def test_counters_add_up_to_the_frames_that_the_client_received() -> None:
    with client_link() as cables:
        async with running_node(VIP, FENCE) as node:
            with Client(cables) as client:
                await client.answered(FENCE)
                for _ in range(5):
                    assert len(await client.replies()) == 1
            totals: Counter[str] = Counter()
            address = ip_address(VIP)
            # A takeover has five bursts of two packets.
            while (totals["requests"], totals["responses"], totals["gratuitous"]) != (5, 5, 10):
                counters = (await node.next_event(Counters)).addresses.get(address)
                if counters is not None:
                    totals["requests"] += counters.requests
                    totals["responses"] += counters.responses
                    totals["gratuitous"] += counters.gratuitous


async def test_dropped_requests_are_counted_by_reason() -> None:
    with client_link(ipv6=True) as cables:
        async with running_node(VIP, "2001:db8::64", FENCE) as node:
            with Client(cables) as client, Client(cables, protocol=ETH_P_IPV6) as client6:
                await client.answered(FENCE)
                group_sender = Ether(src=client.mac, dst=BROADCAST)
                client.send(group_sender / ARP(op=1, hwsrc=BROADCAST, psrc=CLIENT_IP, pdst=VIP))
                group = Ether(src=client.mac, dst="33:33:ff:00:00:64")
                solicitation = IPv6(src="fe80::1", dst="ff02::1:ff00:64", hlim=255)
                good, bad = (ICMPv6ND_NS(tgt="2001:db8::64", **f) for f in ({}, {"cksum": 1}))
                counted: Counter[str] = Counter()
                while (
                    counted["Checksum"] == 0
                ):  # the first ones may come before the group is joined
                    client6.send(group / solicitation / bad)
                    client6.send(group / solicitation / good)
                    counted.update((await node.next_event(Counters)).drops)
            assert counted["GroupSender"] == 1
            assert set(counted) == {"GroupSender", "Checksum"}


async def test_frames_that_cannot_be_sent_are_reported() -> None:
    with client_link() as cables:
        async with running_node() as node:
            await node.next_event(InterfaceAdded)
            cables.full_queue("eth0")
            node.announce(VIP)
            failed = await node.next_event(SendFailed)
    assert (failed.interface, failed.address) == ("eth0", ip_address(VIP))
    assert failed.gratuitous
    assert failed.count >= 2
    assert failed.error == "No buffer space available"


async def test_missing_cap_net_raw_is_reported_for_each_interface() -> None:
    with client_link():
        speaker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", POWERLESS, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await speaker.communicate()
    assert output.decode().strip() == (
        "InterfaceFailed(interface='eth0', protocol='ARP', error='Operation not permitted')"
    )


POWERLESS = """
import asyncio
from speaker.linux.capabilities import keep_only
from speaker.responder.io.client import Responder

async def main():
    keep_only(12)  # CAP_NET_ADMIN
    first = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(Responder().run(first.set_result))
    print(await first)
    task.cancel()
    await asyncio.wait([task])

asyncio.run(main())
"""
