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
    """The same as a part of a list."""
    return replace(link, sequence=number)


def test_an_ethernet_interface_that_is_up_answers() -> None:
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
def test_these_do_not(other: Link) -> None:
    assert not answers_arp(other)


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        *((name, True) for name in ("docker0", "cbr0", "virbr0", "lo", "vethab12", "cali0f")),
        *((name, True) for name in ("flannel.1", "kube-ipvs0", "cni0", "nodelocaldns", "lxc12")),
        *((name, False) for name in ("eth0", "bond0", "br0", "slow0", "enp1s0.5", "ovirbr", "lo0")),
    ],
)
def test_the_interfaces_of_containers_are_left_out(name: str, *, left_out: bool) -> None:
    assert excluding(EXCLUDED)(name) is left_out


def test_a_pattern_is_found_anywhere_in_a_name_unless_it_says_otherwise() -> None:
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


def test_a_complete_list_removes_what_it_does_not_name() -> None:
    table = LinkTable()
    table.receive([ETH0, ETH1])

    number = table.list_requested()
    assert table.receive([part(ETH1, number)])
    assert dict(table.entries) == {2: ETH0, 3: ETH1}
    assert table.receive([DumpDone(number, complete=True)])
    assert dict(table.entries) == {3: ETH1}
    assert table.listed


def test_a_link_that_appears_while_a_list_is_made_stays() -> None:
    table = LinkTable()
    number = table.list_requested()
    table.receive([part(ETH0, number)])
    table.receive([ETH1])  # an event between two parts of the list
    table.receive([DumpDone(number, complete=True)])
    assert dict(table.entries) == {2: ETH0, 3: ETH1}


def test_an_event_that_waited_before_a_list_was_made_says_nothing_about_it() -> None:
    # After a flood: the events that tell of the end of eth0 are among those that were lost.
    table = LinkTable()
    number = table.list_requested()
    table.receive([ETH0])
    table.receive([part(ETH1, number), DumpDone(number, complete=True)])
    assert dict(table.entries) == {3: ETH1}


def test_the_end_of_an_earlier_list_removes_nothing_and_is_the_time_to_ask_again() -> None:
    table = LinkTable()
    first = table.list_requested()
    table.receive([ETH0])
    table.list_requested()  # which the kernel refuses: it makes one list at a time

    assert not table.receive([DumpDone(first, complete=True)])
    assert dict(table.entries) == {2: ETH0}
    assert not table.listed


def test_a_list_that_was_cut_short_removes_nothing_and_is_asked_for_again() -> None:
    table = LinkTable()
    table.receive([ETH0])
    number = table.list_requested()

    assert not table.receive([DumpDone(number, complete=False)])
    assert dict(table.entries) == {2: ETH0}
    assert not table.listed
