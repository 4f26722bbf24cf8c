"""Gratuitous ARP and unsolicited neighbor advertisements after a takeover, and periodically."""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import ip_address

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import (
    BROADCAST,
    CLIENT_IP,
    VIP,
    Client,
    ClientLink,
    Node,
    client_link,
    running_node,
)
from support.net.waiting import eventually

from speaker.responder.events import Counters, InterfaceAdded
from speaker.responder.settings import Settings

pytestmark = pytest.mark.netns

OTHER = "192.0.2.101"
VIP6 = "2001:db8::64"
# Routers by RFC 9131: unsolicited advertisements create neighbor cache entries.
ACCEPT = "accept_untracked_na"


async def gratuitous(client: Client, address: str, within: float) -> list[Ether]:
    """Listen for ``within`` seconds; return every frame with this sender address."""
    frames: list[Ether] = []
    try:
        async with asyncio.timeout(within):
            while True:
                frame = await client.frame()
                if frame[ARP].psrc == address:
                    frames.append(frame)
    except TimeoutError:
        return frames


async def lose_and_take_over(node: Node, client: Client) -> None:
    node.withdraw(VIP)
    node.announce(OTHER)
    await client.answered(
        OTHER
    )  # the withdrawal is done, too; a request for VIP would be a recent one
    while not client.is_drained():
        await client.frame()
    node.announce(VIP)


async def test_takeover_is_announced_unicast_to_recent_requesters(
    cables: ClientLink, client: Client
) -> None:
    async with running_node(VIP) as node:
        await client.answered()
        client.ask(sender="192.0.2.77")
        while (await client.reply())[ARP].pdst != "192.0.2.77":
            pass
        client.ask(sender="0.0.0.0")  # a probe has no sender address to announce to
        await lose_and_take_over(node, client)
        frames = await gratuitous(client, VIP, within=4.0)

    unicast = [frame for frame in frames if frame.dst == client.mac]
    mac = cables.node_mac()
    assert {(f.src, f[ARP].op, f[ARP].hwsrc, f[ARP].hwdst) for f in unicast} == {
        (mac, 2, mac, client.mac)
    }
    # In the first three bursts.
    assert Counter(frame[ARP].pdst for frame in unicast) == {CLIENT_IP: 3, "192.0.2.77": 3}
    assert len([frame for frame in frames if frame.dst == BROADCAST]) == 8


async def test_requester_since_the_takeover_gets_no_unicast_announcement(client: Client) -> None:
    async with running_node("192.0.2.250") as node:
        await client.answered("192.0.2.250")
        node.announce(VIP)
        await client.answered()
        frames = await gratuitous(client, VIP, within=2.5)
        while not client.is_drained():
            await client.frame()
    assert {frame.dst for frame in frames if frame[ARP].op == 1} == {BROADCAST}
    assert not [f for f in frames if f.dst == client.mac and f[ARP].pdst != CLIENT_IP]
    late = len([f for f in frames if f.dst == client.mac])
    assert late <= 1  # a late reply


async def test_host_without_broadcasts_learns_a_changed_mac_address(cables: ClientLink) -> None:
    cables.on_client("address", "flush", "dev", "eth0")
    cables.on_client("address", "add", "192.0.2.2/24", "dev", "eth0")

    async def neighbor() -> str:
        return cables.on_client("neigh", "show", VIP)

    async with running_node(VIP):
        with Client(cables) as client:
            await client.answered()
        cables.on_client(
            "neigh", "replace", VIP, "dev", "eth0", "lladdr", cables.node_mac(), "nud", "stale"
        )
        cables.on_node("link", "set", "eth0", "address", "02:00:00:00:00:77")
        found = await eventually(neighbor, lambda entry: "02:00:00:00:00:77" in entry)
    assert "02:00:00:00:00:77" in found


async def test_owned_addresses_are_announced_periodically(client: Client) -> None:
    settings = Settings(announce_interval=1.0)
    async with running_node(VIP, OTHER, settings=settings) as node:
        await client.answered()
        await gratuitous(client, VIP, within=5.5)  # the window of the takeover
        node.withdraw(OTHER)
        frames = await gratuitous(client, VIP, within=3.2)
        assert len(frames) in (4, 6, 8)
        assert {(frame.dst, frame[ARP].pdst) for frame in frames} == {(BROADCAST, VIP)}
        assert await gratuitous(client, OTHER, within=1.5) == []


async def test_gratuitous_arp_of_the_other_interface_is_dropped_as_own(cables: ClientLink) -> None:
    cables.connect("eth1")
    cables.on_client("link", "add", "br0", "type", "bridge")
    cables.on_client("link", "set", "br0", "up")
    for name in ("eth0", "eth1"):
        cables.on_client("link", "set", name, "master", "br0")
    async with running_node() as node:
        for _ in range(2):
            await node.next_event(InterfaceAdded)
        node.announce(VIP)
        address = ip_address(VIP)
        sent, drops = 0, Counter[str]()
        while sent < 12:
            counters = await node.next_event(Counters)
            if address in counters.addresses:
                sent += counters.addresses[address].gratuitous
                assert counters.addresses[address].requests == 0
            drops.update(counters.drops)
        # Each of the two received the other's requests; replies do not pass the filter.
        assert drops["Own"] >= 4


async def test_router_has_a_neighbor_entry_before_any_solicitation() -> None:
    with client_link(ipv6=True) as cables:
        for name in ("forwarding", ACCEPT):
            if not cables.set_on_client(f"net.ipv6.conf.eth0.{name}", 1):
                pytest.skip(f"this kernel has no setting {name}")

        async def neighbor() -> str:
            return cables.on_client("-6", "neigh", "show", VIP6)

        async with running_node(VIP6):
            entry = await eventually(neighbor, lambda text: "lladdr" in text)
    assert "STALE" in entry
