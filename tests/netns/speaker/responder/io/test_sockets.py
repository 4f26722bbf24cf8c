"""The responder's sockets, in this process: a failed interface does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import BROADCAST, VIP, Client, ClientLink, client_link_fixture

from metallb_py.protocols.rtnetlink import Link
from speaker.responder.gratuitous import EVERY_INTERFACE, Burst
from speaker.responder.io.process import follow_links
from speaker.responder.io.sockets import REPLIES_LIMIT, ResponderSockets
from speaker.responder.links import excluding
from speaker.responder.report import AddressCounters, InterfaceState, SendFailure, Tally

pytestmark = pytest.mark.netns

OWNED = IPv4Address(VIP).packed
NO_DEVICE = "No such device"


class Harness:
    """ResponderSockets without a process: ``serve`` does the work of the process' loop."""

    def __init__(self) -> None:
        self.counters = Tally()
        self.watched: dict[int, Callable[[], None]] = {}
        self.sockets = ResponderSockets(
            self.counters,
            self.watched.__setitem__,
            self.watched.__delitem__,
            excluding(["^veth"]),
            lambda _: None,
        )

    def reconcile(self, links: dict[int, Link]) -> set[int]:
        """Follow the interfaces; return those on which the address must be announced."""
        to_announce = self.sockets.reconcile(links, {})
        assert all(addresses == {OWNED} for addresses in to_announce.values())
        return set(to_announce)

    def serve(self) -> None:
        """Serve every socket once."""
        for receive in tuple(self.watched.values()):
            receive()


cables = client_link_fixture("eth1")


@pytest.fixture
def links(cables: ClientLink) -> dict[int, Link]:
    interfaces = follow_links()
    interfaces.close()
    return dict(interfaces.table.entries)


@pytest.fixture
def harness() -> Iterator[Harness]:
    made = Harness()
    made.sockets.own({OWNED: ()})
    yield made
    made.reconcile({})


def ghost(links: dict[int, Link]) -> Link:
    """Return a link that was deleted before its socket could be opened."""
    eth0 = next(link for link in links.values() if link.name == "eth0")
    return replace(eth0, index=99, name="ghost0")


def test_failed_interface_does_not_keep_the_others_from_answering(
    harness: Harness, cables: ClientLink, links: dict[int, Link]
) -> None:
    harness.reconcile({99: ghost(links), **links})

    assert set(harness.sockets.states) == {
        InterfaceState("eth0", "ARP", ""),
        InterfaceState("eth1", "ARP", ""),
        InterfaceState("ghost0", "ARP", NO_DEVICE),
    }
    for name in ("eth0", "eth1"):
        with Client(cables, name) as client:
            client.ask()
            harness.serve()
    assert harness.counters.take_report().counts == {OWNED: AddressCounters(2, 2, 0)}


def test_failed_interface_is_retried_and_removed_with_its_link(
    harness: Harness, links: dict[int, Link]
) -> None:
    harness.reconcile({99: ghost(links)})
    assert harness.sockets.states == (InterfaceState("ghost0", "ARP", NO_DEVICE),)

    found = replace(ghost(links), name="eth1")
    assert harness.reconcile({99: found}) == {99}
    assert harness.sockets.states == (InterfaceState("eth1", "ARP", ""),)

    harness.reconcile({99: ghost(links)})
    assert harness.sockets.states == (InterfaceState("ghost0", "ARP", NO_DEVICE),)
    harness.reconcile({})
    assert harness.sockets.states == ()
    assert harness.watched == {}


def test_interfaces_are_excluded_by_their_current_name(
    harness: Harness, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    assert harness.reconcile({index: replace(eth0, name="veth0")}) == set()
    assert harness.sockets.states == ()
    assert harness.reconcile({index: eth0}) == {index}
    assert harness.sockets.states == (InterfaceState("eth0", "ARP", ""),)
    harness.reconcile({index: replace(eth0, name="veth0")})
    assert harness.sockets.states == ()


async def test_cached_replies_follow_ownership_and_mac_address(
    harness: Harness, cables: ClientLink, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    harness.reconcile({index: eth0})
    with Client(cables) as client:
        for owned, mac in (
            (True, cables.node_mac()),
            (True, cables.node_mac()),
            (False, ""),
            (True, cables.node_mac()),
            (True, "02:00:00:00:00:07"),
        ):
            harness.sockets.own({OWNED: ()} if owned else {})
            client.ask()
            if mac and mac != cables.node_mac():
                moved = type(eth0.mac)(bytes.fromhex(mac.replace(":", "")))
                harness.reconcile({index: replace(eth0, mac=moved)})
            harness.serve()
            if owned:
                reply = await client.frame()
                assert (reply[ARP].hwsrc, reply[ARP].psrc) == (mac, VIP)
        assert client.is_drained()
    assert harness.counters.take_report().counts == {OWNED: AddressCounters(4, 4, 0)}


async def test_withdrawn_address_is_not_answered_from_the_cache(
    harness: Harness, cables: ClientLink, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    harness.reconcile({index: eth0})
    withdrawn = "10.0.0.1"
    others = ["10.0.0.0", "10.0.0.2", *(f"10.{number}.0.0" for number in range(1, 70))]
    owned = {IPv4Address(address).packed: () for address in others}
    harness.sockets.own(owned | {IPv4Address(withdrawn).packed: ()})
    with Client(cables) as client:
        client.ask(withdrawn)
        harness.sockets.own(owned)  # answers the queued request
        # The filter, which merges near addresses, still accepts requests for it.
        client.ask(withdrawn)
        harness.serve()
        assert (await client.frame())[ARP].psrc == withdrawn
        assert client.is_drained()
    report = harness.counters.take_report()
    assert report.counts == {IPv4Address(withdrawn).packed: AddressCounters(1, 1, 0)}
    assert report.drops == {"AnnounceIP": 1}


async def test_reply_cache_is_bounded(
    harness: Harness, cables: ClientLink, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    harness.reconcile({index: eth0})
    harness.sockets.own({OWNED: ()})
    with Client(cables) as client:
        request = bytes(Ether(src=client.mac, dst=BROADCAST) / ARP(hwsrc=client.mac, pdst=VIP))
        for number in range(2 * REPLIES_LIMIT):
            client.socket.send(request[:28] + (number + 1).to_bytes(4) + request[32:])
            if number % 32 == 31:
                harness.serve()
    assert harness.counters.take_report().counts == {
        OWNED: AddressCounters(2 * REPLIES_LIMIT, 2 * REPLIES_LIMIT, 0)
    }
    assert harness.sockets.remembered <= REPLIES_LIMIT


def test_reconcile_returns_the_interfaces_to_announce_on(
    harness: Harness, links: dict[int, Link]
) -> None:
    index, eth0 = next((i, link) for i, link in links.items() if link.name == "eth0")
    no_carrier = replace(eth0, flags=eth0.flags & ~0x10000)
    other_mac = replace(eth0, mac=type(eth0.mac)(b"\2\0\0\0\0\7"))

    assert harness.reconcile({index: no_carrier}) == set()
    assert harness.reconcile({index: eth0}) == {index}
    assert harness.reconcile({index: eth0}) == set()
    assert harness.reconcile({index: other_mac}) == {index}
    # Carrier lost and found again between two reconciliations.
    blinked = replace(other_mac, carriers=other_mac.carriers + 1)
    assert harness.reconcile({index: blinked}) == {index}
    assert harness.reconcile({index: blinked}) == set()
    assert harness.reconcile({index: replace(blinked, flags=no_carrier.flags)}) == set()
    assert harness.reconcile({}) == set()
    assert harness.reconcile({index: eth0}) == {index}


async def test_burst_is_sent_on_its_interface_or_on_every_one(
    harness: Harness, cables: ClientLink, links: dict[int, Link]
) -> None:
    harness.reconcile(links)
    index = next(i for i, link in links.items() if link.name == "eth1")
    with Client(cables, "eth0") as first, Client(cables, "eth1") as second:
        harness.sockets.burst(Burst(OWNED, index))
        harness.sockets.burst(Burst(OWNED, EVERY_INTERFACE))

        async def operations(client: Client, count: int) -> list[int]:
            frames = [await client.frame() for _ in range(count)]
            assert {(f.dst, f[ARP].psrc, f[ARP].pdst) for f in frames} == {(BROADCAST, VIP, VIP)}
            return [frame[ARP].op for frame in frames]

        assert await operations(first, 2) == [1, 2]
        assert await operations(second, 4) == [1, 2, 1, 2]
    assert harness.counters.take_report().counts == {OWNED: AddressCounters(0, 0, 6)}


def test_frames_that_the_kernel_refuses_are_counted(
    harness: Harness, cables: ClientLink, links: dict[int, Link]
) -> None:
    harness.reconcile(links)
    cables.on_node("link", "set", "eth0", "down")

    harness.sockets.burst(Burst(OWNED, EVERY_INTERFACE))
    harness.serve()  # a read returns the error, too, once

    report = harness.counters.take_report()
    assert report.failures == {SendFailure("eth0", OWNED, True, "Network is down"): 2}
    assert report.drops == {"Error": 1}
    assert report.counts == {OWNED: AddressCounters(0, 0, 2)}  # through eth1
