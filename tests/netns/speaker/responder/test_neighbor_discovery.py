"""Neighbor Discovery by the responder, as a client on the link observes it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from itertools import count

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
from scapy.layers.l2 import Ether
from support.layer2.client_link import (
    BROADCAST,
    ETH_P_IPV6,
    Client,
    ClientLink,
    client_link,
    client_link_fixture,
    gone,
    running_node,
)
from support.net.requirements import require
from support.net.waiting import TIMEOUT, eventually

from speaker.responder.events import Counters, InterfaceAdded, InterfaceRemoved

pytestmark = pytest.mark.netns

VIP6 = "2001:db8::64"
FENCE6 = "2001:db8::fa"
OTHER6 = "2001:db8::fb"
VIP4 = "192.0.2.100"
CLIENT6 = "fe80::cafe"
SOURCES = (f"fe80::{number:x}" for number in count(1))


class Client6(Client):
    """A client that sends neighbor solicitations."""

    def __init__(self, client_link: ClientLink, interface: str = "eth0") -> None:
        super().__init__(client_link, interface, ETH_P_IPV6)

    def solicit(
        self, target: str = VIP6, to: str = "", source: str = CLIENT6, *, source_option: bool = True
    ) -> None:
        """Send a solicitation, to the target's group or, unicast, to a MAC address."""
        group = in6_getnsma(IPv6Address(target).packed)
        destination = target if to else str(IPv6Address(group))
        frame = Ether(src=self.mac, dst=to or in6_getnsmac(group))
        frame /= IPv6(src=source, dst=destination, hlim=255) / ICMPv6ND_NS(tgt=target)
        self.send(frame / ICMPv6NDOptSrcLLAddr(lladdr=self.mac) if source_option else frame)

    async def advertisement(self, within: float = TIMEOUT, *, solicited: bool = True) -> Ether:
        """Return the next advertisement for one of our addresses."""
        async with asyncio.timeout(within):
            while True:
                frame = await self.frame()
                if (
                    ICMPv6ND_NA in frame
                    and frame[ICMPv6ND_NA].tgt in (VIP6, FENCE6, OTHER6)
                    and bool(frame[ICMPv6ND_NA].S) is solicited
                ):
                    return frame

    async def advertisements(
        self, target: str = VIP6, to: str = "", *, source_option: bool = True
    ) -> list[Ether]:
        """Solicit, and return every advertisement. Needs the fence to be announced."""
        source = next(SOURCES)  # so that late answers to earlier solicitations don't count
        self.solicit(target, to, source, source_option=source_option)
        self.solicit(FENCE6, source=source)
        received: list[Ether] = []
        while (answer := await self.advertisement())[ICMPv6ND_NA].tgt != FENCE6 or (
            answer[IPv6].dst != source
        ):
            if answer[IPv6].dst == source:
                received.append(answer)
        return received

    async def resolved(self, target: str = VIP6, within: float = TIMEOUT) -> None:
        """Solicit again and again until there is an answer, and no other is on its way."""
        async with asyncio.timeout(within):
            while True:
                self.solicit(target)
                try:
                    while (await self.advertisement(0.05))[ICMPv6ND_NA].tgt != target:
                        pass
                except TimeoutError:
                    continue
                return


cables = client_link_fixture(ipv6=True)


@pytest.fixture
def client(cables: ClientLink) -> Iterator[Client6]:
    with Client6(cables) as opened:
        yield opened


async def test_every_kind_of_solicitation_gets_exactly_one_answer(
    cables: ClientLink, client: Client6
) -> None:
    mac = cables.node_mac()
    async with running_node(VIP6, FENCE6):
        await client.resolved(FENCE6)
        await client.resolved()
        for how in ({}, {"to": mac}, {"to": mac, "source_option": False}, {"source_option": False}):
            (answer,) = await client.advertisements(**how)
            assert (answer.src, answer.dst) == (mac, client.mac)
            assert answer[IPv6].src == VIP6
            assert answer[ICMPv6NDOptDstLLAddr].lladdr == mac


async def test_solicitations_of_other_addresses_are_ignored(client: Client6) -> None:
    async with running_node(VIP6, FENCE6):
        await client.resolved(FENCE6)
        # The same group and the same last 32 bits: only the whole address decides.
        assert await client.advertisements(target="2001:db8:1::64") == []
        assert await client.advertisements(to="02:00:00:00:00:99") == []


async def test_duplicate_address_detection_fails_for_an_owned_address(
    cables: ClientLink, client: Client6
) -> None:
    async with running_node(VIP6):
        await client.resolved()
        # The kernel of the client tries to take the address, and finds that it is taken.
        cables.on_client("address", "add", f"{VIP6}/64", "dev", "eth0")

        async def address() -> str:
            return cables.on_client("-6", "address", "show", "dev", "eth0")

        assert "dadfailed" in await eventually(address, lambda text: "dadfailed" in text)


async def test_kernel_neighbor_entry_becomes_and_stays_reachable(
    cables: ClientLink,
) -> None:
    mac = cables.node_mac()
    cables.on_client("address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")

    async def neighbor() -> str:
        send = f"import socket; socket.socket(10, 2).sendto(b'x', ('{VIP6}', 9))"
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", cables.client, sys.executable, "-c", send
        )
        await process.wait()
        return cables.on_client("-6", "neigh", "show", VIP6)

    async with running_node(VIP6):
        assert mac in await eventually(neighbor, lambda entry: "REACHABLE" in entry)
        # In state PROBE the kernel verifies the entry, with unicast solicitations.
        cables.on_client(
            "-6", "neigh", "change", VIP6, "dev", "eth0", "lladdr", mac, "nud", "probe"
        )
        assert mac in await eventually(neighbor, lambda entry: "REACHABLE" in entry)


async def test_ndisc6_resolves_the_address(cables: ClientLink, client: Client6) -> None:
    require(shutil.which("ndisc6") is not None, "ndisc6")
    cables.on_client("address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
    async with running_node(VIP6):
        await client.resolved()
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", cables.client, "ndisc6", "-m", "-w", "300", VIP6, "eth0"),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert output.decode().count(cables.node_mac().upper()) == 1


async def test_takeover_sends_unsolicited_na_to_all_nodes_and_routers(
    cables: ClientLink, client: Client6
) -> None:
    async with running_node(FENCE6) as node:
        await client.resolved(FENCE6)
        node.announce(VIP6)
        advertised: list[tuple[str, str, int]] = []
        while len(advertised) < 7:
            frame = await client.advertisement(solicited=False)
            if frame[ICMPv6ND_NA].tgt == VIP6:
                assert frame[ICMPv6ND_NA].R == 0
                assert frame[ICMPv6NDOptDstLLAddr].lladdr == cables.node_mac()
                advertised.append((frame.dst, frame[IPv6].dst, frame[ICMPv6ND_NA].O))
    nodes, routers = ("33:33:00:00:00:01", "ff02::1", 1), ("33:33:00:00:00:02", "ff02::2", 0)
    assert advertised == [nodes, routers, nodes, routers, nodes, routers, nodes]


async def test_takeover_sends_unsolicited_na_to_recent_requesters(
    cables: ClientLink, client: Client6
) -> None:
    async with running_node(VIP6, FENCE6) as node:
        await client.resolved(FENCE6)
        await client.resolved()
        node.withdraw(VIP6)
        node.announce(OTHER6)
        await client.resolved(OTHER6)  # the withdrawal is done, too
        node.announce(VIP6)
        while (frame := await client.advertisement(solicited=False)).dst != client.mac:
            pass
    assert (frame.src, frame[IPv6].src, frame[IPv6].dst) == (cables.node_mac(), VIP6, CLIENT6)
    assert (frame[ICMPv6ND_NA].tgt, frame[ICMPv6ND_NA].O, frame[ICMPv6ND_NA].R) == (VIP6, 1, 0)


async def test_solicited_node_groups_follow_addresses_and_interfaces(cables: ClientLink) -> None:
    async def groups(interface: str) -> str:
        return cables.on_node("-6", "maddress", "show", "dev", interface)

    async with running_node(VIP6) as node:
        await eventually(lambda: groups("eth0"), lambda text: "ff02::1:ff00:64" in text)
        # An interface that is added later joins, too; in MetalLB 0.12 it does not.
        cables.connect("late0")
        await eventually(lambda: groups("late0"), lambda text: "ff02::1:ff00:64" in text)
        node.withdraw(VIP6)
        await eventually(lambda: groups("eth0"), lambda text: "ff02::1:ff00:64" not in text)
        await eventually(lambda: groups("late0"), lambda text: "ff02::1:ff00:64" not in text)


async def test_arp_and_ndp_side_by_side(cables: ClientLink, client: Client6) -> None:
    async with running_node(VIP4, VIP6, FENCE6) as node:
        await client.resolved(FENCE6)
        assert len(await client.advertisements()) == 1
        with Client(cables) as arp:
            await arp.answered(VIP4)
        assert {
            (await node.next_event(InterfaceAdded)).protocol,
            (await node.next_event(InterfaceAdded)).protocol,
        } == {"ARP", "NDP"}
        counted: set[str] = set()
        while counted != {VIP4, VIP6, FENCE6}:
            counted |= {
                str(a)
                for a, c in (await node.next_event(Counters)).addresses.items()
                if c.responses
            }

        node.withdraw(VIP6, FENCE6)
        removed = await node.next_event(InterfaceRemoved)
        assert (removed.interface, removed.protocol) == ("eth0", "NDP")
        with Client(cables) as arp:
            await arp.answered(VIP4)


async def test_interface_without_ipv6_answers_in_arp_alone() -> None:
    with client_link(ipv6=False) as cables:
        async with running_node(VIP4, VIP6) as node:
            with Client(cables) as client:
                reply = await client.answered(VIP4)
                assert reply.dst != BROADCAST
            assert (await node.next_event(InterfaceAdded)).protocol == "ARP"
            counters = await node.next_event(Counters)
            assert ip_address(VIP6) not in counters.addresses
            assert node.events == [e for e in node.events if not isinstance(e, InterfaceAdded)]


async def test_restarted_process_joins_its_solicited_node_groups(client: Client6) -> None:
    async with running_node(VIP6, FENCE6) as node:
        await client.resolved(FENCE6)
        first = node.process()
        node.kill()
        await gone(first)
        await client.resolved()
        assert len(await client.advertisements()) == 1
