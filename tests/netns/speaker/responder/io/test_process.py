"""The responder process itself, driven over its socket pair."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import CLIENT_IP, FENCE, VIP, Client, ClientLink
from support.layer2.responder_process import Process, packed, running_process
from support.net.waiting import TIMEOUT

from speaker.responder.io.messages import Disown, Own
from speaker.responder.report import BATCH, InterfaceAddresses, InterfaceState, Report

pytestmark = pytest.mark.netns


@pytest.fixture
def process(cables: ClientLink) -> Iterator[Process]:
    with running_process() as started:
        yield started


def test_the_first_report_names_the_interfaces(process: Process, cables: ClientLink) -> None:
    mac = bytes.fromhex(cables.node_mac().replace(":", ""))
    assert process.report() == Report(
        interfaces=(InterfaceState("eth0", "ARP", ""),),
        interface_addresses=(InterfaceAddresses("eth0", mac, ()),),
    )


def test_process_ends_when_the_socket_pair_is_closed(process: Process) -> None:
    process.report()
    process.control.close()
    assert process.popen.wait(TIMEOUT) == 0


def test_process_ends_with_status_0_although_its_report_was_never_read(process: Process) -> None:
    assert select.select([process.control], [], [], TIMEOUT)[0]
    process.control.close()
    assert process.popen.wait(TIMEOUT) == 0


def test_process_is_small_holds_one_capability_and_imports_little(process: Process) -> None:
    process.report()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    )
    assert int(status["CapEff"], 16) == 1 << 13  # CAP_NET_RAW
    assert int(status["VmRSS"].split()[0]) < 28 * 1024  # RE2, which matches patterns, takes 4 MiB
    maps = Path(f"/proc/{process.popen.pid}/maps").read_text()
    assert "_ssl" not in maps  # asyncio and the Kubernetes client would load it


async def test_reports_count_requests_and_responses(process: Process, cables: ClientLink) -> None:
    process.report()
    with Client(cables) as client:
        process.send(Own(packed(VIP, FENCE), takeover=False))
        await client.answered()
        received = len([await client.replies() for _ in range(10)])
        assert received == 10

    counts: dict[bytes, int] = {}
    while counts.get(packed(FENCE)[0], 0) < 10:
        for address, each in process.report().counts.items():
            assert (each.requests, each.gratuitous) == (each.responses, 0)
            counts[address] = counts.get(address, 0) + each.responses
    assert counts[packed(FENCE)[0]] == 10
    assert counts[packed(VIP)[0]] >= 11


async def test_takeover_sends_gratuitous_arp_at_once_and_other_commands_none(
    process: Process, cables: ClientLink
) -> None:
    process.report()
    with Client(cables) as client:
        process.send(Own(packed(FENCE), takeover=False))
        process.send(Own(packed(VIP), takeover=True))
        for operation in (1, 2):
            frame = await client.frame()
            assert (frame[ARP].op, frame[ARP].psrc, frame[ARP].pdst) == (operation, VIP, VIP)


async def test_thousands_of_addresses(process: Process, cables: ClientLink) -> None:
    process.report()
    first = int(IPv4Address("10.0.0.0"))
    addresses = [(first + 2 * i).to_bytes(4) for i in range(5000)]
    for start in range(0, len(addresses), BATCH):
        process.send(Own(tuple(addresses[start : start + BATCH]), takeover=False))
    process.send(Own(packed(FENCE), takeover=False))
    with Client(cables) as client:
        await client.answered(FENCE)
        for number in (first, first + 4998, first + 9998):
            assert len(await client.replies(str(IPv4Address(number)))) == 1
        # Foreign addresses may pass a filter this large; they still get no reply.
        assert await client.replies(str(IPv4Address(first + 1))) == []
        process.send(Disown(tuple(addresses[:BATCH])))
        await client.silent("10.0.0.0")
        assert len(await client.replies(str(IPv4Address(first + 9998)))) == 1


async def test_fifty_thousand_addresses_in_one_command(
    process: Process, cables: ClientLink
) -> None:
    process.report()
    first = int(IPv4Address("10.0.0.0"))
    addresses = tuple((first + 2 * i).to_bytes(4) for i in range(50_000))
    process.send(Own((*addresses, *packed(FENCE)), takeover=False))
    with Client(cables) as client:
        await client.answered(FENCE)
        for number in (first, first + 49_998, first + 99_998):
            assert len(await client.replies(str(IPv4Address(number)))) == 1
        process.send(Disown(addresses))
        await client.silent("10.0.0.0")
        assert await client.replies(str(IPv4Address(first + 99_998))) == []


async def test_gratuitous_arp_of_1000_takeovers_is_ordered_and_interleaved(
    process: Process, cables: ClientLink
) -> None:
    process.report()
    first = int(IPv4Address("10.0.0.0"))
    addresses = [(first + i).to_bytes(4) for i in range(1000)]
    with Client(cables) as client:
        process.send(Own(packed(FENCE), takeover=False))
        await client.answered(FENCE)
        for start in range(0, len(addresses), BATCH):
            process.send(Own(tuple(addresses[start : start + BATCH]), takeover=True))
        client.ask(FENCE)
        announced: list[str] = []
        answered_after = None
        while len(announced) < 1000:
            frame = await client.frame()
            if frame[ARP].psrc == FENCE:
                answered_after = len(announced)
            elif frame[ARP].op == 1 and frame[ARP].psrc != "0.0.0.0":  # that is a probe
                announced.append(frame[ARP].psrc)
    assert announced == [str(IPv4Address(address)) for address in addresses]
    assert answered_after is not None
    assert answered_after < 500


async def test_malformed_frames_change_nothing(process: Process, cables: ClientLink) -> None:
    process.report()
    process.send(Own(packed(VIP, FENCE), takeover=False))
    with Client(cables) as client:
        await client.answered()
        whole = bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc=CLIENT_IP, pdst=VIP))
        for position in range(len(whole)):
            for flip in (0x01, 0x80, 0xFF):
                damaged = bytearray(whole)
                damaged[position] ^= flip
                with contextlib.suppress(OSError):
                    client.socket.send(damaged)
        for length in range(14, len(whole)):
            client.socket.send(whole[:length])
        await client.answered()
        assert process.popen.poll() is None
        assert len(await client.replies()) == 1
