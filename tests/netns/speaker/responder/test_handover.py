"""An address that another host announces: handed over, or in conflict."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import (
    BROADCAST,
    FENCE,
    VIP,
    Client,
    ClientLink,
    Node,
    client_link_fixture,
    running_node,
)
from support.net.waiting import TIMEOUT

from speaker.responder.events import AddressConflict
from speaker.responder.handover import LINGER, SETTLING

pytestmark = pytest.mark.netns
VIP6 = "2001:db8::64"


cables = client_link_fixture(ipv6=True)


def announce(client: Client, address: str = VIP, operation: int = 1) -> None:
    """Announce an address, as the next owner's gratuitous ARP does."""
    packet = ARP(op=operation, hwsrc=client.mac, psrc=address, hwdst=BROADCAST, pdst=address)
    client.send(Ether(src=client.mac, dst=BROADCAST) / packet)


def hand_over(node: Node, address: str = VIP) -> None:
    node.responder.withdraw(ip_address(address), linger=True)
    node.announce("192.0.2.201")  # sent in the same turn of the event loop


@pytest.mark.parametrize("operation", [1, 2])
async def test_handover_answers_until_the_new_owner_announces(
    client: Client, operation: int
) -> None:
    async with running_node(VIP, FENCE) as node, asyncio.timeout(TIMEOUT):
        while True:
            await client.answered()
            before = time.monotonic()
            hand_over(node)
            await client.answered("192.0.2.201")
            still = await client.replies()
            announce(client, operation=operation)
            await client.silent()
            if time.monotonic() - before < LINGER:
                break
            # The handover ends after LINGER in any case: on a machine this slow, try again.
            node.announce(VIP)
            node.withdraw("192.0.2.201")
            await asyncio.sleep(LINGER)
        assert still, "no other host answers yet"


async def test_handover_to_an_owner_that_announced_before_ends_at_once(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        await asyncio.sleep(SETTLING)  # until then it could be the earlier owner
        announce(client)
        await client.replies()  # so that the announcement was received
        hand_over(node)
        await client.answered("192.0.2.201")
        assert not await client.replies()


async def test_handover_ends_after_linger_without_an_announcement(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        hand_over(node)
        await client.silent()


async def test_withdrawal_without_handover_is_not_answered(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        node.withdraw(VIP)
        node.announce("192.0.2.201")
        await client.answered("192.0.2.201")
        assert not await client.replies()


async def test_arp_probe_detects_an_address_conflict(cables: ClientLink, client: Client) -> None:
    """The client's kernel has the address, and answers as any host does."""
    cables.on_client("address", "add", f"{VIP}/24", "dev", "eth0")
    async with running_node(VIP, FENCE) as node:
        conflict = await node.next_event(AddressConflict)
        assert (conflict.interface, str(conflict.address), conflict.mac) == (
            "eth0",
            VIP,
            client.mac,
        )
        assert await client.replies(), "it is answered all the same"


async def test_ipv6_address_conflict_is_detected(cables: ClientLink, client: Client) -> None:
    cables.on_client("address", "add", f"{VIP6}/64", "dev", "eth0", "nodad")
    async with running_node(VIP6) as node:
        conflict = await node.next_event(AddressConflict)
        assert (str(conflict.address), conflict.mac) == (VIP6, client.mac)


async def test_later_address_conflict_is_reported_and_own_frames_are_not(
    cables: ClientLink, client: Client
) -> None:
    cables.connect("eth1")  # on one link, the node would receive its own frames on both
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        own = Ether(src=cables.node_mac("eth1"), dst=BROADCAST)
        mac = cables.node_mac("eth1")
        client.send(own / ARP(op=1, hwsrc=mac, psrc=VIP, hwdst=BROADCAST, pdst=VIP))
        announce(client, operation=2)
        conflict = await node.next_event(AddressConflict)
        assert (conflict.mac, conflict.count) == (client.mac, 1)
        assert await client.replies(), "requests are still answered"


async def test_unsolicited_advertisement_of_another_host_is_a_conflict(client: Client) -> None:
    async with running_node(VIP6, FENCE) as node:
        await client.answered(FENCE)
        frame = Ether(src=client.mac, dst="33:33:00:00:00:01")
        frame /= IPv6(src="fe80::9", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=VIP6, O=1)
        client.send(frame / ICMPv6NDOptDstLLAddr(lladdr=client.mac))
        conflict = await node.next_event(AddressConflict)
        assert (str(conflict.address), conflict.mac) == (VIP6, client.mac)
