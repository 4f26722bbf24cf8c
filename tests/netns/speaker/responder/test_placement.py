"""Two links: an address is answered for on the one whose subnet it belongs to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from scapy.layers.l2 import ARP
from support.layer2.client_link import (
    VIP,
    Client,
    ClientLink,
    Node,
    client_link_fixture,
    running_node,
)

from speaker.responder.events import InterfacesChanged
from speaker.responder.settings import Settings

pytestmark = pytest.mark.netns
ELSEWHERE = "203.0.113.100"  # on no subnet of the node
HERE, THERE = "192.0.2.1/24", "198.51.100.1/24"
SUBNETS = {"eth0": ip_network("192.0.2.0/24"), "eth1": ip_network("198.51.100.0/24")}


cables = client_link_fixture("eth1")


async def answering(*clients: Client) -> list[bool]:
    """Return for each client whether it gets a reply; ELSEWHERE is owned on every link."""
    for client in clients:
        await client.answered(ELSEWHERE)
    return [bool(await client.replies(VIP, fence=ELSEWHERE)) for client in clients]


async def settled(node: Node, *subnets: str) -> None:
    """Wait until the responder reports these subnets."""

    def matches(event: InterfacesChanged) -> bool:
        there = {subnet for each in event.interfaces for subnet in each.subnets}
        return there == {ip_network(subnet) for subnet in subnets}

    await node.next_event(InterfacesChanged, matches)


async def test_only_the_interface_on_the_subnet_answers_and_announces(
    cables: ClientLink,
) -> None:
    cables.on_node("address", "add", HERE, "dev", "eth0")
    cables.on_node("address", "add", THERE, "dev", "eth1")
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node() as node:
            await settled(node, *map(str, SUBNETS.values()))
            node.announce(VIP)
            node.announce(ELSEWHERE)
            announced = {VIP: 0, ELSEWHERE: 0}
            while not announced[ELSEWHERE]:
                frame = await second.frame()
                announced[frame[ARP].psrc] += 1
            assert announced[VIP] == 0, "announced on a link that it does not belong to"
            assert await answering(first, second) == [True, False]


async def test_added_and_removed_node_addresses_move_the_answering_interface(
    cables: ClientLink,
) -> None:
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node(VIP, ELSEWHERE) as node:
            assert await answering(first, second) == [True, True]
            cables.on_node("address", "add", HERE, "dev", "eth1")
            await settled(node, "192.0.2.0/24")
            assert await answering(first, second) == [False, True]
            cables.on_node("address", "del", HERE, "dev", "eth1")
            await settled(node)
            assert await answering(first, second) == [True, True]


async def test_first_report_of_an_interface_has_its_subnets(cables: ClientLink) -> None:
    """Otherwise every restart of a speaker would move its node's addresses away and back."""
    cables.on_node("address", "add", HERE, "dev", "eth0")
    async with running_node() as node:
        interfaces = {
            each.name: each.subnets
            for each in (await node.next_event(InterfacesChanged)).interfaces
        }
        assert interfaces == {"eth0": (ip_network("192.0.2.0/24"),), "eth1": ()}


async def test_any_interface_setting_lets_all_interfaces_answer(cables: ClientLink) -> None:
    cables.on_node("address", "add", HERE, "dev", "eth0")
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node(VIP, ELSEWHERE, settings=Settings(any_interface=True)) as node:
            await settled(node, "192.0.2.0/24")
            assert await answering(first, second) == [True, True]


async def test_only_the_named_interfaces_answer(cables: ClientLink) -> None:
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        async with running_node(VIP, ELSEWHERE) as node:
            assert await answering(first, second) == [True, True]
            node.responder.announce(ip_address(VIP), ("eth1", "bond.*"))
            node.announce("192.0.2.201")  # sent after the other
            await first.answered("192.0.2.201")
            assert await answering(first, second) == [False, True]
