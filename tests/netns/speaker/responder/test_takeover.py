"""What goes out that nobody asked for: after a takeover, after a link's return, and in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from scapy.layers.l2 import ARP, Ether
from support.bgp_wire import eventually
from support.layer2_wire import BROADCAST, CLIENT_IP, VIP, Client, Node, Wire, running_node, wire

from speaker.responder.events import Counters, InterfaceAdded
from speaker.responder.settings import Settings

pytestmark = pytest.mark.netns

OTHER = "192.0.2.101"
VIP6 = "2001:db8::64"
# Routers as RFC 9131 wants them: unasked-for advertisements make entries.
ACCEPT = "accept_untracked_na"


@pytest.fixture
def cables() -> Iterator[Wire]:
    with wire() as built:
        yield built


@pytest.fixture
def client(cables: Wire) -> Iterator[Client]:
    with Client(cables) as opened:
        yield opened


async def unasked(client: Client, address: str, within: float) -> list[Ether]:
    """Listen for so long; return every frame that tells of an address."""
    heard: list[Ether] = []
    try:
        async with asyncio.timeout(within):
            while True:
                frame = await client.frame()
                if frame[ARP].psrc == address:
                    heard.append(frame)
    except TimeoutError:
        return heard


async def lose_and_take_over(node: Node, client: Client) -> None:
    node.withdraw(VIP)
    node.announce(OTHER)
    await client.answered(OTHER)  # so the loss is known, too; to ask for it would make us an asker
    while not client.nothing_waits():
        await client.frame()
    node.announce(VIP)


async def test_those_who_asked_before_are_told_one_by_one(cables: Wire, client: Client) -> None:
    async with running_node(VIP) as node:
        await client.answered()
        client.ask(sender="192.0.2.77")
        while (await client.reply())[ARP].pdst != "192.0.2.77":
            pass
        client.ask(sender="0.0.0.0")  # a probe's sender has no address to be told at
        await lose_and_take_over(node, client)
        heard = await unasked(client, VIP, within=4.0)

    told = [frame for frame in heard if frame.dst == client.mac]
    mac = cables.node_mac()
    assert {(f.src, f[ARP].op, f[ARP].hwsrc, f[ARP].hwdst) for f in told} == {
        (mac, 2, mac, client.mac)
    }
    # In the first three bursts.
    assert Counter(frame[ARP].pdst for frame in told) == {CLIENT_IP: 3, "192.0.2.77": 3}
    assert len([frame for frame in heard if frame.dst == BROADCAST]) == 8


async def test_who_asked_since_the_takeover_is_not_told(client: Client) -> None:
    async with running_node("192.0.2.250") as node:
        await client.answered("192.0.2.250")
        node.announce(VIP)
        await client.answered()
        heard = await unasked(client, VIP, within=2.5)
        while not client.nothing_waits():
            await client.frame()
    assert {frame.dst for frame in heard if frame[ARP].op == 1} == {BROADCAST}
    assert not [f for f in heard if f.dst == client.mac and f[ARP].pdst != CLIENT_IP]
    asked = len([f for f in heard if f.dst == client.mac])
    assert asked <= 1  # a late answer


async def test_a_host_that_takes_no_broadcasts_follows_a_changed_mac(cables: Wire) -> None:
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


async def test_owned_addresses_are_announced_again(client: Client) -> None:
    settings = Settings(announce_interval=1.0)
    async with running_node(VIP, OTHER, settings=settings) as node:
        await client.answered()
        await unasked(client, VIP, within=5.5)  # the window of the takeover
        node.withdraw(OTHER)
        heard = await unasked(client, VIP, within=3.2)
        assert len(heard) in (4, 6, 8)
        assert {(frame.dst, frame[ARP].pdst) for frame in heard} == {(BROADCAST, VIP)}
        assert await unasked(client, OTHER, within=1.5) == []


async def test_two_interfaces_on_one_wire_do_not_ask_each_other(cables: Wire) -> None:
    cables.connect("eth1")
    cables.on_client("link", "add", "br0", "type", "bridge")
    cables.on_client("link", "set", "br0", "up")
    for name in ("eth0", "eth1"):
        cables.on_client("link", "set", name, "master", "br0")
    async with running_node() as node:
        for _ in range(2):
            await node.saw(InterfaceAdded)
        node.announce(VIP)
        address = ip_address(VIP)
        sent, drops = 0, Counter[str]()
        while sent < 12:
            counters = await node.saw(Counters)
            if address in counters.addresses:
                sent += counters.addresses[address].gratuitous
                assert counters.addresses[address].requests == 0
            drops.update(counters.drops)
        # Each of the two heard the other's requests; replies do not pass the filter.
        assert drops["Own"] >= 4


async def test_a_router_knows_an_address_before_anybody_asks() -> None:
    with wire(ipv6=True) as cables:
        for name in ("forwarding", ACCEPT):
            if not cables.set_on_client(f"net.ipv6.conf.eth0.{name}", 1):
                pytest.skip(f"this kernel has no setting {name}")

        async def neighbor() -> str:
            return cables.on_client("-6", "neigh", "show", VIP6)

        async with running_node(VIP6):
            entry = await eventually(neighbor, lambda text: "lladdr" in text)
    assert "STALE" in entry
