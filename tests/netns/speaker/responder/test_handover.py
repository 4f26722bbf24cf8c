"""An address that another host announces: handed over, or in conflict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from support.layer2_wire import (
    BROADCAST,
    FENCE,
    VIP,
    Client,
    Node,
    Wire,
    running_node,
    wire,
)
from support.patience import PATIENCE

from speaker.responder.events import Claimed
from speaker.responder.handover import LINGER, SETTLING

pytestmark = pytest.mark.netns
VIP6 = "2001:db8::64"


@pytest.fixture
def cables() -> Iterator[Wire]:
    with wire(ipv6=True) as built:
        yield built


@pytest.fixture
def client(cables: Wire) -> Iterator[Client]:
    with Client(cables) as opened:
        yield opened


def announce(client: Client, address: str = VIP, operation: int = 1) -> None:
    """Claim an address, as the next owner's gratuitous ARP does."""
    packet = ARP(op=operation, hwsrc=client.mac, psrc=address, hwdst=BROADCAST, pdst=address)
    client.send(Ether(src=client.mac, dst=BROADCAST) / packet)


def hand_over(node: Node, address: str = VIP) -> None:
    node.responder.withdraw(ip_address(address), linger=True)
    node.announce("192.0.2.201")  # told in the same breath


@pytest.mark.parametrize("operation", [1, 2])
async def test_who_hands_over_answers_until_the_new_owner_is_heard(
    client: Client, operation: int
) -> None:
    async with running_node(VIP, FENCE) as node, asyncio.timeout(PATIENCE):
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
            # It ends after so long in any case: on a machine as slow as this, look once more.
            node.announce(VIP)
            node.withdraw("192.0.2.201")
            await asyncio.sleep(LINGER)
        assert still, "nobody else answers yet"


async def test_a_new_owner_that_was_quicker_is_left_alone(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        await asyncio.sleep(SETTLING)  # until then it could be the earlier owner
        announce(client)
        await client.replies()  # so that it was heard
        hand_over(node)
        await client.answered("192.0.2.201")
        assert not await client.replies()


async def test_who_hands_over_stops_after_a_second_in_any_case(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        hand_over(node)
        await client.silent()


async def test_what_is_simply_withdrawn_is_not_answered_for(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        node.withdraw(VIP)
        node.announce("192.0.2.201")
        await client.answered("192.0.2.201")
        assert not await client.replies()


async def test_a_host_that_has_the_address_is_found_out_by_the_probe(
    cables: Wire, client: Client
) -> None:
    """The client's kernel has it, and answers as any host does."""
    cables.on_client("address", "add", f"{VIP}/24", "dev", "eth0")
    async with running_node(VIP, FENCE) as node:
        claim = await node.saw(Claimed)
        assert (claim.interface, str(claim.address), claim.mac) == ("eth0", VIP, client.mac)
        assert await client.replies(), "it is ours all the same"


async def test_a_host_that_has_the_ipv6_address_is_found_out(cables: Wire, client: Client) -> None:
    cables.on_client("address", "add", f"{VIP6}/64", "dev", "eth0", "nodad")
    async with running_node(VIP6) as node:
        claim = await node.saw(Claimed)
        assert (str(claim.address), claim.mac) == (VIP6, client.mac)


async def test_a_later_conflict_is_seen_and_ours_are_none(cables: Wire, client: Client) -> None:
    cables.connect("eth1")  # the node hears itself on both, were they one wire
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        own = Ether(src=cables.node_mac("eth1"), dst=BROADCAST)
        mac = cables.node_mac("eth1")
        client.send(own / ARP(op=1, hwsrc=mac, psrc=VIP, hwdst=BROADCAST, pdst=VIP))
        announce(client, operation=2)
        claim = await node.saw(Claimed)
        assert (claim.mac, claim.count) == (client.mac, 1)
        assert await client.replies(), "who asks gets an answer"


async def test_an_unsolicited_advertisement_is_a_claim(client: Client) -> None:
    async with running_node(VIP6, FENCE) as node:
        await client.answered(FENCE)
        frame = Ether(src=client.mac, dst="33:33:00:00:00:01")
        frame /= IPv6(src="fe80::9", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=VIP6, O=1)
        client.send(frame / ICMPv6NDOptDstLLAddr(lladdr=client.mac))
        claim = await node.saw(Claimed)
        assert (str(claim.address), claim.mac) == (VIP6, client.mac)
