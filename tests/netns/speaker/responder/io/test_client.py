"""The responder as a client on the link observes it, through changes and crashes."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import (
    BROADCAST,
    CLIENT_IP,
    ETH_P_ALL,
    FENCE,
    VIP,
    Client,
    ClientLink,
    client_link,
    gone,
    responder_processes,
    running_node,
)
from support.net.requirements import require
from support.net.waiting import TIMEOUT, eventually

from speaker.linux.worker_process import WorkerRestarted
from speaker.responder.events import InterfaceAdded, InterfaceRemoved
from speaker.responder.settings import Settings

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[5]


async def test_broadcast_and_unicast_requests_get_exactly_one_answer(
    cables: ClientLink, client: Client
) -> None:
    mac = cables.node_mac()
    async with running_node(VIP, FENCE):
        await client.answered()

        for destination in (BROADCAST, mac):
            (reply,) = await client.replies(VIP, destination)
            assert (reply.src, reply[ARP].hwsrc, reply[ARP].psrc) == (mac, mac, VIP)
            assert (reply.dst, reply[ARP].hwdst) == (client.mac, client.mac)


async def test_arp_probe_is_answered(cables: ClientLink, client: Client) -> None:
    async with running_node(VIP):
        await client.answered()

        client.ask(sender="0.0.0.0")

        reply = await client.reply()
        while reply[ARP].pdst != "0.0.0.0":  # replies to repeated requests of ``answered``
            reply = await client.reply()
        assert (reply[ARP].psrc, reply[ARP].hwsrc) == (VIP, cables.node_mac())


async def test_requests_for_other_addresses_or_to_other_hosts_are_ignored(
    cables: ClientLink, client: Client
) -> None:
    async with running_node(VIP, FENCE):
        await client.answered()
        assert await client.replies("192.0.2.101") == []
        assert await client.replies(VIP, destination="02:00:00:00:00:99") == []
        # The same in promiscuous mode, as with a sniffer on the node.
        cables.on_node("link", "set", "eth0", "promisc", "on")
        assert await client.replies(VIP, destination="02:00:00:00:00:99") == []
        assert len(await client.replies()) == 1


async def test_withdrawn_address_is_no_longer_answered(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()

        node.withdraw(VIP)

        await client.silent()
        assert await client.replies() == []
        node.announce(VIP)
        await client.answered()


async def test_addresses_announced_and_withdrawn_in_one_loop_turn(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered(FENCE)
        node.withdraw(VIP)
        node.announce(VIP)
        node.withdraw(VIP)
        node.announce("192.0.2.101")
        await client.silent()
        assert len(await client.replies("192.0.2.101")) == 1


async def test_arping_and_the_kernel_resolve_the_address(cables: ClientLink) -> None:
    require(shutil.which("arping") is not None, "arping")
    mac = cables.node_mac()
    async with running_node(VIP, FENCE):
        with Client(cables) as client:
            await client.answered()
        count = ("arping", "-I", "eth0", "-c", "1", "-w")
        output = await on_client(cables, *count, "60", VIP)
        assert "Received 1 response(s)" in output
        assert mac.upper() in output
        # Duplicate address detection: it finds the address in use.
        assert "Received 1 response(s)" in await on_client(cables, *count, "60", "-D", VIP)
        assert "Received 0 response(s)" in await on_client(cables, *count, "2", "192.0.2.101")

        cables.on_client("neigh", "flush", "dev", "eth0")
        send = f"import socket; socket.socket(2, 2).sendto(b'x', ('{VIP}', 9))"
        await on_client(cables, sys.executable, "-c", send)

        async def neighbor() -> str:
            return cables.on_client("neigh", "show", VIP)

        assert mac in await eventually(neighbor, lambda entry: "lladdr" in entry)


async def test_takeover_sends_five_gratuitous_requests_and_replies(
    cables: ClientLink, client: Client
) -> None:
    async with running_node(FENCE) as node:
        await node.next_event(InterfaceAdded)
        await client.answered(FENCE)
        node.announce(VIP)
        frames = await gratuitous(client, VIP, within=6.6)

    for operation in (1, 2):
        times = [at for at, frame in frames if frame[ARP].op == operation]
        assert len(times) == 5
        for earlier, later in pairwise(times):
            assert later - earlier == pytest.approx(1.1, abs=0.3)
    mac = cables.node_mac()
    for _, frame in frames:
        assert (frame.dst, frame.src) == (BROADCAST, mac)
        assert (frame[ARP].hwsrc, frame[ARP].hwdst) == (mac, BROADCAST)
        assert (frame[ARP].psrc, frame[ARP].pdst) == (VIP, VIP)


async def test_withdrawn_address_gets_no_further_gratuitous_arp(client: Client) -> None:
    async with running_node(FENCE, VIP) as node:
        await client.answered()
        node.withdraw(VIP)
        await client.silent()
        assert await gratuitous(client, VIP, within=1.5) == []


async def test_excluded_interfaces_do_not_answer(cables: ClientLink, client: Client) -> None:
    cables.connect("veth0")  # as containers have it
    cables.connect("uplink0")
    async with running_node(VIP, settings=Settings(("^veth", "link"))) as node:
        with Client(cables, "veth0") as second, Client(cables, "uplink0") as third:
            await client.answered()
            for excluded in (second, third):
                excluded.ask()
            cables.connect("last0")
            await node.next_event(InterfaceAdded, lambda event: event.interface == "last0")
            for excluded in (second, third):
                with pytest.raises(TimeoutError):
                    await excluded.frame(within=0.1)
    added = [event.interface for event in node.history if isinstance(event, InterfaceAdded)]
    assert added == ["eth0", "last0"]


async def test_later_interface_answers_and_sends_gratuitous_arp() -> None:
    with client_link(connected=False) as cables:
        async with running_node(VIP) as node:
            cables.connect("late0")
            with Client(cables, "late0") as client:
                await client.answered()
                assert (await node.next_event(InterfaceAdded)).interface == "late0"
                await announced(client, VIP)


async def test_link_that_was_down_answers_when_it_is_up_again(
    cables: ClientLink, client: Client
) -> None:
    async with running_node(VIP) as node:
        await client.answered()
        cables.on_node("link", "set", "eth0", "down")
        assert (await node.next_event(InterfaceRemoved)).interface == "eth0"
        await node.next_event(InterfaceAdded)
        cables.on_node("link", "set", "eth0", "up")
        assert (await node.next_event(InterfaceAdded)).interface == "eth0"
        await client.answered()


async def test_returned_carrier_sends_gratuitous_arp(cables: ClientLink, client: Client) -> None:
    async with running_node(VIP) as node:
        await client.answered()
        # The takeover's window must be over, or its bursts could be mistaken for new ones.
        assert len(await gratuitous(client, VIP, within=6.0)) >= 8
        cables.on_client("link", "set", "eth0", "down")
        with pytest.raises(OSError, match="Network is down"):
            await client.discard_frames()
        cables.on_client("link", "set", "eth0", "up")
        await announced(client, VIP)
        assert not any(isinstance(event, InterfaceRemoved) for event in node.history)


async def test_a_changed_mac_address_is_used_at_once(cables: ClientLink, client: Client) -> None:
    async with running_node(VIP, FENCE):
        await client.answered()

        cables.on_node("link", "set", "eth0", "address", "02:00:00:00:00:77")

        async with asyncio.timeout(TIMEOUT):
            while (await client.answered())[ARP].hwsrc != "02:00:00:00:00:77":
                pass
        (reply,) = await client.replies(VIP, destination="02:00:00:00:00:77")
        assert (reply.src, reply[ARP].hwsrc) == ("02:00:00:00:00:77", "02:00:00:00:00:77")


async def test_bridge_answers_in_place_of_its_port(cables: ClientLink, client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        cables.on_node("link", "add", "br0", "address", "02:00:00:00:00:55", "type", "bridge")
        cables.on_node("link", "set", "br0", "up")
        cables.on_node("link", "set", "eth0", "master", "br0")
        await node.next_event(InterfaceAdded, lambda event: event.interface == "br0")
        assert (await node.next_event(InterfaceRemoved)).interface == "eth0"

        await client.answered()
        (reply,) = await client.replies()
        assert reply[ARP].hwsrc == "02:00:00:00:00:55"
        (reply,) = await client.replies(VIP, destination="02:00:00:00:00:55")

        cables.on_node("link", "set", "eth0", "nomaster")
        await node.next_event(InterfaceAdded, lambda event: event.interface == "eth0")
        await client.answered()


async def test_request_in_a_foreign_vlan_is_ignored(
    cables: ClientLink,
) -> None:
    async with running_node(VIP, FENCE):
        with Client(cables, protocol=ETH_P_ALL) as client:
            await client.answered()
            # The kernel strips the tag and passes the rest on. An untagged reply would come from
            # the wrong network.
            client.ask(sender="198.19.0.5", vlan=5)
            # VLAN 0 is a priority, not a network (IEEE 802.1Q).
            client.ask(sender="198.19.0.1", vlan=0)
            reply = await client.reply()
            while reply[ARP].pdst == CLIENT_IP:  # a late reply to ``answered``
                reply = await client.reply()
            assert reply[ARP].pdst == "198.19.0.1"


async def test_a_killed_process_is_replaced_at_once(cables: ClientLink, client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        first = node.process()

        os.kill(first, signal.SIGKILL)
        await gone(first)
        await client.answered()

        assert (await node.next_event(WorkerRestarted)).status == -signal.SIGKILL
        assert node.process() != first
        assert len(await client.replies()) == 1
        # The restart is not reported as a change of the interfaces.
        assert [e for e in node.history if isinstance(e, InterfaceAdded)] == [
            InterfaceAdded("eth0", "ARP")
        ]
        assert not any(isinstance(event, InterfaceRemoved) for event in node.history)


async def test_changes_during_a_restart_of_the_process_take_effect(client: Client) -> None:
    async with running_node(VIP, FENCE) as node:
        await client.answered()
        first = node.process()
        os.kill(first, signal.SIGKILL)
        node.withdraw(VIP)
        node.announce("192.0.2.101")
        await gone(first)
        await client.answered("192.0.2.101")
        assert await client.replies(VIP) == []


async def test_replies_do_not_wait_for_the_speakers_event_loop(client: Client) -> None:
    async with running_node(VIP):
        await client.answered()
        # From here to the end nothing is awaited, so the event loop is blocked.
        client.ask(sender="192.0.2.77")
        while True:
            assert select.select([client.socket], [], [], TIMEOUT)[0], "no answer"
            reply = Ether(client.socket.recv(2048))
            if reply[ARP].op == 2 and reply[ARP].pdst == "192.0.2.77":
                break


async def test_the_process_ends_with_its_task(client: Client) -> None:
    async with running_node(VIP) as node:
        await client.answered()
        process = node.process()
    assert responder_processes(os.getpid()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_the_process_ends_when_the_speaker_is_killed(client: Client) -> None:
    speaker = await asyncio.create_subprocess_exec(sys.executable, "-c", SPEAKER, cwd=ROOT)
    try:
        await client.answered()
        (process,) = responder_processes(speaker.pid)
        speaker.kill()
        await gone(process)
    finally:
        if speaker.returncode is None:
            speaker.kill()
        await speaker.wait()


SPEAKER = f"""
import asyncio
from ipaddress import ip_address
from speaker.responder.io.client import Responder

async def main():
    responder = Responder()
    responder.announce(ip_address("{VIP}"))
    await responder.run(print)

asyncio.run(main())
"""


async def on_client(cables: ClientLink, *command: str) -> str:
    """Run a program in the client's namespace and return what it prints, whatever its status."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", cables.client, *command, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode()


async def announced(client: Client, address: str) -> None:
    """Wait until a broadcast announces the address."""
    async with asyncio.timeout(TIMEOUT):
        while (frame := await client.frame()).dst != BROADCAST or frame[ARP].psrc != address:
            pass


async def gratuitous(client: Client, address: str, within: float) -> list[tuple[float, Ether]]:
    """Listen for ``within`` seconds; return broadcasts of the address with their times."""
    frames: list[tuple[float, Ether]] = []
    deadline = time.monotonic() + within
    while (left := deadline - time.monotonic()) > 0:
        try:
            frame = await client.frame(left)
        except TimeoutError:
            break
        if frame.dst == BROADCAST and frame[ARP].psrc == address:
            frames.append((time.monotonic(), frame))
    return frames
