"""The responder process itself, spoken to over its socket pair."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2_process import Process, packed, running_process
from support.layer2_wire import CLIENT_IP, FENCE, VIP, Client, Wire, wire
from support.patience import PATIENCE

from speaker.responder.io.messages import (
    BATCH,
    Disown,
    InterfaceState,
    Own,
    Report,
    WireState,
)

pytestmark = pytest.mark.netns


@pytest.fixture
def cables() -> Iterator[Wire]:
    with wire() as built:
        yield built


@pytest.fixture
def process(cables: Wire) -> Iterator[Process]:
    with running_process() as started:
        yield started


def test_the_first_report_names_the_interfaces(process: Process, cables: Wire) -> None:
    mac = bytes.fromhex(cables.node_mac().replace(":", ""))
    assert process.report() == Report(
        interfaces=(InterfaceState("eth0", "ARP", ""),), wires=(WireState("eth0", mac, ()),)
    )


def test_it_ends_when_nobody_is_there_any_more(process: Process) -> None:
    process.report()
    process.control.close()
    assert process.popen.wait(PATIENCE) == 0


def test_it_ends_in_good_order_though_its_report_was_never_read(process: Process) -> None:
    assert select.select([process.control], [], [], PATIENCE)[0]
    process.control.close()
    assert process.popen.wait(PATIENCE) == 0


def test_it_is_small_holds_one_capability_and_imports_little(process: Process) -> None:
    process.report()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    )
    assert int(status["CapEff"], 16) == 1 << 13  # CAP_NET_RAW
    assert int(status["VmRSS"].split()[0]) < 28 * 1024  # RE2, which matches patterns, takes 4 MiB
    maps = Path(f"/proc/{process.popen.pid}/maps").read_text()
    assert "_ssl" not in maps  # asyncio and the Kubernetes client would bring it


async def test_reports_count_what_happened(process: Process, cables: Wire) -> None:
    process.report()
    with Client(cables) as client:
        process.tell(Own(packed(VIP, FENCE), takeover=False))
        await client.answered()
        received = len([await client.replies() for _ in range(10)])
        assert received == 10

    counts: dict[bytes, int] = {}
    while counts.get(packed(FENCE)[0], 0) < 10:
        for each in process.report().counts:
            assert (each.requests, each.gratuitous) == (each.responses, 0)
            counts[each.address] = counts.get(each.address, 0) + each.responses
    assert counts[packed(FENCE)[0]] == 10
    assert counts[packed(VIP)[0]] >= 11


async def test_a_takeover_is_announced_at_once_and_an_old_address_is_not(
    process: Process, cables: Wire
) -> None:
    process.report()
    with Client(cables) as client:
        process.tell(Own(packed(FENCE), takeover=False))
        process.tell(Own(packed(VIP), takeover=True))
        for operation in (1, 2):
            frame = await client.frame()
            assert (frame[ARP].op, frame[ARP].psrc, frame[ARP].pdst) == (operation, VIP, VIP)


async def test_thousands_of_addresses(process: Process, cables: Wire) -> None:
    process.report()
    first = int(IPv4Address("10.0.0.0"))
    addresses = [(first + 2 * i).to_bytes(4) for i in range(5000)]
    for start in range(0, len(addresses), BATCH):
        process.tell(Own(tuple(addresses[start : start + BATCH]), takeover=False))
    process.tell(Own(packed(FENCE), takeover=False))
    with Client(cables) as client:
        await client.answered(FENCE)
        for number in (first, first + 4998, first + 9998):
            assert len(await client.replies(str(IPv4Address(number)))) == 1
        # Foreign ones may pass so large a filter; they are still foreign.
        assert await client.replies(str(IPv4Address(first + 1))) == []
        process.tell(Disown(tuple(addresses[:BATCH])))
        await client.silent("10.0.0.0")
        assert len(await client.replies(str(IPv4Address(first + 9998)))) == 1


async def test_fifty_thousand_addresses_in_one_command(process: Process, cables: Wire) -> None:
    process.report()
    first = int(IPv4Address("10.0.0.0"))
    addresses = tuple((first + 2 * i).to_bytes(4) for i in range(50_000))
    process.tell(Own((*addresses, *packed(FENCE)), takeover=False))
    with Client(cables) as client:
        await client.answered(FENCE)
        for number in (first, first + 49_998, first + 99_998):
            assert len(await client.replies(str(IPv4Address(number)))) == 1
        process.tell(Disown(addresses))
        await client.silent("10.0.0.0")
        assert await client.replies(str(IPv4Address(first + 99_998))) == []


async def test_a_thousand_takeovers_go_out_in_order_and_answers_get_in_between(
    process: Process, cables: Wire
) -> None:
    process.report()
    first = int(IPv4Address("10.0.0.0"))
    addresses = [(first + i).to_bytes(4) for i in range(1000)]
    with Client(cables) as client:
        process.tell(Own(packed(FENCE), takeover=False))
        await client.answered(FENCE)
        for start in range(0, len(addresses), BATCH):
            process.tell(Own(tuple(addresses[start : start + BATCH]), takeover=True))
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


async def test_a_flood_of_rubbish_changes_nothing(process: Process, cables: Wire) -> None:
    process.report()
    process.tell(Own(packed(VIP, FENCE), takeover=False))
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
