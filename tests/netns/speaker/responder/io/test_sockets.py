"""The ports, in this process: one interface's trouble stays its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2_wire import BROADCAST, VIP, Client, Wire, wire

from metallb_py.protocols.rtnetlink import Link
from speaker.responder.gratuitous import EVERY_INTERFACE, Burst
from speaker.responder.io.counters import Tally
from speaker.responder.io.interfaces import follow_links
from speaker.responder.io.messages import AddressCounts, InterfaceState
from speaker.responder.io.sockets import REPLIES_LIMIT, Ports
from speaker.responder.links import excluding

pytestmark = pytest.mark.netns

OWNED = IPv4Address(VIP).packed
NO_DEVICE = "No such device"


class Bench:
    """Ports with hands to turn them: ``turn`` does what the process' loop would."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.watched: dict[int, Callable[[], None]] = {}
        self.ports = Ports(
            self.tally,
            self.watched.__setitem__,
            self.watched.__delitem__,
            excluding(["^veth"]),
            lambda _: None,
        )

    def reconcile(self, links: dict[int, Link]) -> set[int]:
        """Follow the interfaces; return those whose neighbors are to hear of the address."""
        news = self.ports.reconcile(links, {})
        assert all(addresses == {OWNED} for addresses in news.values())
        return set(news)

    def turn(self) -> None:
        """Serve every port once."""
        for serve in tuple(self.watched.values()):
            serve()


@pytest.fixture
def cables() -> Iterator[Wire]:
    with wire() as built:
        built.connect("eth1")
        yield built


@pytest.fixture
def links(cables: Wire) -> dict[int, Link]:
    interfaces = follow_links()
    interfaces.close()
    return dict(interfaces.table.entries)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.ports.own({OWNED: ()})
    yield made
    made.reconcile({})


def ghost(links: dict[int, Link]) -> Link:
    """An interface that was taken away before we got to open it."""
    eth0 = next(link for link in links.values() if link.name == "eth0")
    return replace(eth0, index=99, name="ghost0")


def test_one_interface_that_fails_does_not_keep_the_others_from_answering(
    bench: Bench, cables: Wire, links: dict[int, Link]
) -> None:
    bench.reconcile({99: ghost(links), **links})

    assert set(bench.ports.states) == {
        InterfaceState("eth0", "ARP", ""),
        InterfaceState("eth1", "ARP", ""),
        InterfaceState("ghost0", "ARP", NO_DEVICE),
    }
    for name in ("eth0", "eth1"):
        with Client(cables, name) as client:
            client.ask()
            bench.turn()
    assert bench.tally.report(None).counts == (AddressCounts(OWNED, 2, 2, 0),)


def test_a_failed_interface_is_tried_again_and_forgotten_when_gone(
    bench: Bench, links: dict[int, Link]
) -> None:
    bench.reconcile({99: ghost(links)})
    assert bench.ports.states == (InterfaceState("ghost0", "ARP", NO_DEVICE),)

    found = replace(ghost(links), name="eth1")
    assert bench.reconcile({99: found}) == {99}
    assert bench.ports.states == (InterfaceState("eth1", "ARP", ""),)

    bench.reconcile({99: ghost(links)})
    assert bench.ports.states == (InterfaceState("ghost0", "ARP", NO_DEVICE),)
    bench.reconcile({})
    assert bench.ports.states == ()
    assert bench.watched == {}


def test_excluded_interfaces_are_left_out_by_the_name_that_they_have_now(
    bench: Bench, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    assert bench.reconcile({index: replace(eth0, name="veth0")}) == set()
    assert bench.ports.states == ()
    assert bench.reconcile({index: eth0}) == {index}
    assert bench.ports.states == (InterfaceState("eth0", "ARP", ""),)
    bench.reconcile({index: replace(eth0, name="veth0")})
    assert bench.ports.states == ()


async def test_what_was_answered_before_is_answered_as_things_are_now(
    bench: Bench, cables: Wire, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    bench.reconcile({index: eth0})
    with Client(cables) as client:
        for owned, mac in (
            (True, cables.node_mac()),
            (True, cables.node_mac()),
            (False, ""),
            (True, cables.node_mac()),
            (True, "02:00:00:00:00:07"),
        ):
            bench.ports.own({OWNED: ()} if owned else {})
            client.ask()
            if mac and mac != cables.node_mac():
                moved = type(eth0.mac)(bytes.fromhex(mac.replace(":", "")))
                bench.reconcile({index: replace(eth0, mac=moved)})
            bench.turn()
            if owned:
                reply = await client.frame()
                assert (reply[ARP].hwsrc, reply[ARP].psrc) == (mac, VIP)
        assert client.nothing_waits()
    assert bench.tally.report(None).counts == (AddressCounts(OWNED, 4, 4, 0),)


async def test_who_asks_in_other_words_each_time_fills_no_memory(
    bench: Bench, cables: Wire, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    bench.reconcile({index: eth0})
    bench.ports.own({OWNED: ()})
    with Client(cables) as client:
        request = bytes(Ether(src=client.mac, dst=BROADCAST) / ARP(hwsrc=client.mac, pdst=VIP))
        for number in range(2 * REPLIES_LIMIT):
            client.socket.send(request[:28] + (number + 1).to_bytes(4) + request[32:])
            if number % 32 == 31:
                bench.turn()
    assert bench.tally.report(None).counts == (
        AddressCounts(OWNED, 2 * REPLIES_LIMIT, 2 * REPLIES_LIMIT, 0),
    )
    assert bench.ports.remembered <= REPLIES_LIMIT


def test_the_neighbors_of_these_must_hear_of_us(bench: Bench, links: dict[int, Link]) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    no_carrier = replace(eth0, flags=eth0.flags & ~0x10000)
    other_mac = replace(eth0, mac=type(eth0.mac)(b"\2\0\0\0\0\7"))

    assert bench.reconcile({index: no_carrier}) == set()
    assert bench.reconcile({index: eth0}) == {index}
    assert bench.reconcile({index: eth0}) == set()
    assert bench.reconcile({index: other_mac}) == {index}
    # Carrier lost and found again before we looked.
    blinked = replace(other_mac, carriers=other_mac.carriers + 1)
    assert bench.reconcile({index: blinked}) == {index}
    assert bench.reconcile({index: blinked}) == set()
    assert bench.reconcile({index: replace(blinked, flags=no_carrier.flags)}) == set()
    assert bench.reconcile({}) == set()
    assert bench.reconcile({index: eth0}) == {index}


async def test_a_burst_goes_out_where_it_is_to(
    bench: Bench, cables: Wire, links: dict[int, Link]
) -> None:
    bench.reconcile(links)
    index = next(i for i, link in links.items() if link.name == "eth1")
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        bench.ports.burst(Burst(OWNED, index))
        bench.ports.burst(Burst(OWNED, EVERY_INTERFACE))

        async def heard(client: Client, count: int) -> list[int]:
            frames = [await client.frame() for _ in range(count)]
            assert {(f.dst, f[ARP].psrc, f[ARP].pdst) for f in frames} == {(BROADCAST, VIP, VIP)}
            return [frame[ARP].op for frame in frames]

        assert await heard(first, 2) == [1, 2]
        assert await heard(second, 4) == [1, 2, 1, 2]
    assert bench.tally.report(None).counts == (AddressCounts(OWNED, 0, 0, 6),)


def test_frames_that_the_kernel_does_not_take_are_counted(
    bench: Bench, cables: Wire, links: dict[int, Link]
) -> None:
    bench.reconcile(links)
    cables.on_node("link", "set", "eth0", "down")

    bench.ports.burst(Burst(OWNED, EVERY_INTERFACE))
    bench.turn()  # reading tells of it, too, once

    report = bench.tally.report(None)
    (failure,) = report.failures
    assert (failure.interface, failure.gratuitous, failure.count) == ("eth0", True, 2)
    assert failure.error == "Network is down"
    assert report.drops == {"Error": 1}
    assert report.counts == (AddressCounts(OWNED, 0, 0, 2),)  # through eth1
