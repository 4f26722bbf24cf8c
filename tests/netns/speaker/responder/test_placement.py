"""Two wires: an address is answered for on the one that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest
from scapy.layers.l2 import ARP
from support.layer2_wire import VIP, Client, Node, Wire, running_node, wire

from speaker.responder.events import WiresChanged
from speaker.responder.settings import Settings

pytestmark = pytest.mark.netns
ELSEWHERE = "203.0.113.100"  # on no subnet of the node
HERE, THERE = "192.0.2.1/24", "198.51.100.1/24"
SUBNETS = {"eth0": ip_network("192.0.2.0/24"), "eth1": ip_network("198.51.100.0/24")}


@pytest.fixture
def cables() -> Iterator[Wire]:
    with wire() as built:
        built.connect("eth1")
        yield built


async def answering(*clients: Client) -> list[bool]:
    """Return who gets an answer when it asks; the other address is owned on every wire."""
    for client in clients:
        await client.answered(ELSEWHERE)
    return [bool(await client.replies(VIP, fence=ELSEWHERE)) for client in clients]


async def settled(node: Node, *subnets: str) -> None:
    """Wait until the responder knows these subnets."""

    def known(event: WiresChanged) -> bool:
        there = {subnet for each in event.wires for subnet in each.subnets}
        return there == {ip_network(subnet) for subnet in subnets}

    await node.saw(WiresChanged, known)


async def test_only_the_interface_on_the_subnet_answers_and_announces(cables: Wire) -> None:
    cables.on_node("address", "add", HERE, "dev", "eth0")
    cables.on_node("address", "add", THERE, "dev", "eth1")
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node() as node:
            await settled(node, *map(str, SUBNETS.values()))
            node.announce(VIP)
            node.announce(ELSEWHERE)
            said = {VIP: 0, ELSEWHERE: 0}
            while not said[ELSEWHERE]:
                frame = await second.frame()
                said[frame[ARP].psrc] += 1
            assert said[VIP] == 0, "announced on a wire that it does not belong to"
            assert await answering(first, second) == [True, False]


async def test_addresses_of_the_node_that_come_and_go_move_it(cables: Wire) -> None:
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node(VIP, ELSEWHERE) as node:
            assert await answering(first, second) == [True, True]
            cables.on_node("address", "add", HERE, "dev", "eth1")
            await settled(node, "192.0.2.0/24")
            assert await answering(first, second) == [False, True]
            cables.on_node("address", "del", HERE, "dev", "eth1")
            await settled(node)
            assert await answering(first, second) == [True, True]


async def test_the_first_that_is_told_of_an_interface_is_its_subnets(cables: Wire) -> None:
    """Else every restart of a speaker would move the addresses of its node away and back."""
    cables.on_node("address", "add", HERE, "dev", "eth0")
    async with running_node() as node:
        wires = {wire.name: wire.subnets for wire in (await node.saw(WiresChanged)).wires}
        assert wires == {"eth0": (ip_network("192.0.2.0/24"),), "eth1": ()}


async def test_with_any_interface_all_answer(cables: Wire) -> None:
    cables.on_node("address", "add", HERE, "dev", "eth0")
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node(VIP, ELSEWHERE, settings=Settings(any_interface=True)) as node:
            await settled(node, "192.0.2.0/24")
            assert await answering(first, second) == [True, True]


async def test_only_the_named_interfaces_answer(cables: Wire) -> None:
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node(VIP, ELSEWHERE) as node:
            assert await answering(first, second) == [True, True]
            node.responder.announce(ip_address(VIP), ("eth1", "bond.*"))
            node.announce("192.0.2.201")  # told after the other
            await first.answered("192.0.2.201")
            assert await answering(first, second) == [False, True]
