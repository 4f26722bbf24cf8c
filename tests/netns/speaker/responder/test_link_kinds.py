"""Bridges, bonds, VLANs and other kinds of interfaces between the link and the node."""

from __future__ import annotations

import subprocess
from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import (
    BROADCAST,
    ETH_P_IPV6,
    FENCE,
    VIP,
    Client,
    ClientLink,
    client_link,
    running_node,
)
from support.net.waiting import eventually

from speaker.responder.events import InterfaceAdded, InterfaceRemoved

pytestmark = pytest.mark.netns

VIP6 = "2001:db8::64"
GROUP6 = in6_getnsma(IPv6Address(VIP6).packed)


def need(cables: ClientLink, kind: str, *arguments: str) -> None:
    """Add a link of a kind on the node; skip the test if the kernel lacks that kind."""
    try:
        cables.on_node("link", "add", *arguments, "type", *kind.split())
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this kernel has no {kind.split(maxsplit=1)[0]}: {error.stderr.strip()}")


def solicitation(client: Client) -> Ether:
    """Return a solicitation to the group of our address."""
    frame = Ether(src=client.mac, dst=in6_getnsmac(GROUP6))
    frame /= IPv6(src="fe80::cafe", dst=str(IPv6Address(GROUP6)), hlim=255)
    return frame / ICMPv6ND_NS(tgt=VIP6) / ICMPv6NDOptSrcLLAddr(lladdr=client.mac)


async def advertised_mac(client: Client) -> str:
    """Solicit until there is an advertisement; return its link-layer address."""

    async def solicit() -> str:
        client.send(solicitation(client))
        try:
            while True:
                frame = await client.frame(within=0.05)
                if ICMPv6ND_NA in frame and frame.dst == client.mac:
                    return str(frame[ICMPv6NDOptDstLLAddr].lladdr)
        except TimeoutError:
            return ""

    return await eventually(solicit, bool)


async def test_bridge_with_multicast_snooping_answers_arp_and_ndp() -> None:
    with client_link(ipv6=True) as cables, Client(cables) as arp:
        mac = "02:00:00:00:00:55"
        cables.on_node(
            "link", "add", "br0", "address", mac, "type", "bridge", "mcast_snooping", "1"
        )
        cables.on_node("link", "set", "eth0", "master", "br0")
        cables.on_node("link", "set", "br0", "up")
        async with running_node(VIP, FENCE, VIP6) as node:
            assert (await arp.answered())[ARP].hwsrc == mac
            assert len(await arp.replies()) == 1
            with Client(cables, protocol=ETH_P_IPV6) as client:
                assert await advertised_mac(client) == mac
            for _ in range(2):
                assert (await node.next_event(InterfaceAdded)).interface == "br0"


async def test_vlan_interface_answers_with_its_own_mac_address(cables: ClientLink) -> None:
    vlan = ("link", "eth0", "name", "eth0.5")
    need(cables, "vlan id 5", *vlan)
    cables.on_client("link", "add", *vlan, "type", "vlan", "id", "5")
    cables.on_node("link", "set", "eth0.5", "address", "02:00:00:00:00:05")
    for on in (cables.on_node, cables.on_client):
        on("link", "set", "eth0.5", "up")
    async with running_node(VIP, FENCE):
        for name in ("eth0", "eth0.5"):
            with Client(cables, name) as client:
                await client.answered()
                (reply,) = await client.replies()
                assert reply[ARP].hwsrc == cables.node_mac(name)


async def test_a_bond_answers_for_its_members(cables: ClientLink) -> None:
    need(cables, "bond mode active-backup", "bond0")
    cables.connect("eth1")
    for name in ("eth0", "eth1"):
        cables.on_node("link", "set", name, "down")
        cables.on_node("link", "set", name, "master", "bond0")
    cables.on_node("link", "set", "bond0", "up")
    async with running_node(VIP, FENCE) as node:
        with Client(cables) as client:
            assert (await client.answered())[ARP].hwsrc == cables.node_mac("bond0")
            assert len(await client.replies()) == 1
        added = [event.interface for event in node.history if isinstance(event, InterfaceAdded)]
        assert added == ["bond0"]


async def test_noarp_interface_is_left_out(cables: ClientLink) -> None:
    async with running_node(VIP) as node:
        assert (await node.next_event(InterfaceAdded)).interface == "eth0"
        cables.on_node("link", "set", "eth0", "arp", "off")
        assert (await node.next_event(InterfaceRemoved)).interface == "eth0"
        cables.on_node("link", "set", "eth0", "arp", "on")
        assert (await node.next_event(InterfaceAdded)).interface == "eth0"
        with Client(cables) as client:
            await client.answered()


async def test_vxlan_interface_answers(cables: ClientLink) -> None:
    need(cables, "vxlan id 7 dstport 4789 remote 198.51.100.2 local 198.51.100.1 dev eth0", "over0")
    cables.on_node("address", "add", "198.51.100.1/24", "dev", "eth0")
    cables.on_client("address", "add", "198.51.100.2/24", "dev", "eth0")
    cables.on_client(
        *("link", "add", "over0", "type", "vxlan", "id", "7", "dstport", "4789"),
        *("remote", "198.51.100.1", "local", "198.51.100.2", "dev", "eth0"),
    )
    for on in (cables.on_node, cables.on_client):
        on("link", "set", "over0", "up")
    async with running_node(VIP, FENCE):
        with Client(cables, "over0") as client:
            reply = await client.answered()
            assert reply[ARP].hwsrc == cables.node_mac("over0")


async def test_each_interface_answers_with_its_own_mac_address(cables: ClientLink) -> None:
    cables.connect("eth1")
    async with running_node(VIP, FENCE):
        for name in ("eth0", "eth1"):
            with Client(cables, name) as client:
                await client.answered()
                (reply,) = await client.replies()
                assert reply[ARP].hwsrc == cables.node_mac(name)
                assert reply.dst != BROADCAST
