"""Link table, and the interfaces that answer ARP requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.rtnetlink import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_NOARP,
    IFF_UP,
    DumpDone,
    Link,
    LinkGone,
)
from speaker.responder.links import EXCLUDED, LinkTable, answers_arp, excluding

ETH0 = Link(
    index=2,
    name="eth0",
    hardware_type=ARPHRD_ETHER,
    flags=IFF_UP | IFF_BROADCAST,
    mac=MacAddress(bytes.fromhex("020000000001")),
    master=0,
)
ETH1 = replace(ETH0, index=3, name="eth1")


def part(link: Link, number: int) -> Link:
    """Return the link as a part of a dump."""
    return replace(link, sequence=number)


def test_an_ethernet_interface_that_is_up_answers_arp() -> None:
    assert answers_arp(ETH0)


@pytest.mark.parametrize(
    "other",
    [
        replace(ETH0, flags=IFF_BROADCAST),
        replace(ETH0, flags=IFF_UP),
        replace(ETH0, flags=IFF_UP | IFF_BROADCAST | IFF_NOARP),
        replace(ETH0, master=9),
        replace(ETH0, hardware_type=772, name="lo"),
        replace(ETH0, hardware_type=32, mac=MacAddress(bytes(20)), name="ib0"),
        replace(ETH0, mac=MacAddress(b"")),
    ],
    ids=["down", "no broadcast", "NOARP", "has a master", "loopback", "infiniband", "no MAC"],
)
def test_other_interfaces_do_not_answer_arp(other: Link) -> None:
    assert not answers_arp(other)


@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        *((name, True) for name in ("docker0", "cbr0", "virbr0", "lo", "vethab12", "cali0f")),
        *((name, True) for name in ("flannel.1", "kube-ipvs0", "cni0", "nodelocaldns", "lxc12")),
        *((name, False) for name in ("eth0", "bond0", "br0", "slow0", "enp1s0.5", "ovirbr", "lo0")),
    ],
)
def test_interfaces_of_containers_are_excluded(name: str, *, excluded: bool) -> None:
    assert excluding(EXCLUDED)(name) is excluded


def test_an_exclusion_pattern_matches_anywhere_unless_anchored() -> None:
    assert excluding(["th1"])("eth1")
    assert not excluding(["^th1"])("eth1")
    assert not excluding([])("eth1")


def test_the_table_follows_events() -> None:
    table = LinkTable()
    down = replace(ETH0, flags=IFF_BROADCAST)

    assert table.receive([ETH0, ETH1])
    assert dict(table.entries) == {2: ETH0, 3: ETH1}
    assert table.receive([down, LinkGone(3), LinkGone(99)])
    assert dict(table.entries) == {2: down}
    assert not table.listed


def test_a_complete_dump_removes_links_that_it_does_not_contain() -> None:
    table = LinkTable()
    table.receive([ETH0, ETH1])

    number = table.list_requested()
    assert table.receive([part(ETH1, number)])
    assert dict(table.entries) == {2: ETH0, 3: ETH1}
    assert table.receive([DumpDone(number, complete=True)])
    assert dict(table.entries) == {3: ETH1}
    assert table.listed


def test_a_link_that_appears_during_a_dump_stays() -> None:
    table = LinkTable()
    number = table.list_requested()
    table.receive([part(ETH0, number)])
    table.receive([ETH1])  # an event between two parts of the dump
    table.receive([DumpDone(number, complete=True)])
    assert dict(table.entries) == {2: ETH0, 3: ETH1}


def test_an_event_queued_before_a_dump_does_not_count_for_it() -> None:
    # After an overrun: the events about the end of eth0 are among those that were lost.
    table = LinkTable()
    number = table.list_requested()
    table.receive([ETH0])
    table.receive([part(ETH1, number), DumpDone(number, complete=True)])
    assert dict(table.entries) == {3: ETH1}


def test_the_end_of_an_earlier_dump_removes_nothing() -> None:
    table = LinkTable()
    first = table.list_requested()
    table.receive([ETH0])
    table.list_requested()  # which the kernel refuses: it makes one dump at a time

    assert not table.receive([DumpDone(first, complete=True)])
    assert dict(table.entries) == {2: ETH0}
    assert not table.listed


def test_an_interrupted_dump_removes_nothing() -> None:
    table = LinkTable()
    table.receive([ETH0])
    number = table.list_requested()

    assert not table.receive([DumpDone(number, complete=False)])
    assert dict(table.entries) == {2: ETH0}
    assert not table.listed
