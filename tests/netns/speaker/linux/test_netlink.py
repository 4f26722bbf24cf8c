"""Interfaces and subnets of a namespace, followed over netlink."""

from __future__ import annotations

import select
import time

import pytest
from support.layer2.client_link import ClientLink, client_link
from support.net.waiting import TIMEOUT

from metallb_py.protocols.rtnetlink import IFF_LOWER_UP, IFF_UP
from speaker.linux.netlink import Netlink
from speaker.responder.io.process import follow_links, follow_subnets
from speaker.responder.links import LinkTable, answers_arp

pytestmark = pytest.mark.netns


def names(interfaces: Netlink[LinkTable]) -> set[str]:
    return {link.name for link in interfaces.table.entries.values()}


def follow(interfaces: Netlink[LinkTable], wanted: set[str], within: float = TIMEOUT) -> None:
    """Read events until there are exactly these interfaces."""
    deadline = time.monotonic() + within
    while names(interfaces) != wanted:
        readable, _, _ = select.select([interfaces], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"still {names(interfaces)}"
        interfaces.receive()


def drain(interfaces: Netlink[LinkTable]) -> None:
    """Read all pending events."""
    while select.select([interfaces], [], [], 0.0)[0]:
        interfaces.receive()


def test_link_table_is_complete_from_the_start() -> None:
    with client_link() as cables:
        interfaces = follow_links()
        eth0 = next(link for link in interfaces.table.entries.values() if link.name == "eth0")
        interfaces.close()

        assert {link.name for link in interfaces.table.entries.values()} == {"lo", "eth0"}
        assert eth0.mac.hex(":") == cables.node_mac()
        assert eth0.flags & IFF_UP
        assert eth0.flags & IFF_LOWER_UP
        assert {link.name for link in interfaces.table.entries.values() if answers_arp(link)} == {
            "eth0"
        }


def test_link_table_follows_added_changed_and_deleted_interfaces() -> None:
    with client_link() as cables:
        interfaces = follow_links()
        cables.on_node("link", "add", "br0", "type", "bridge")
        follow(interfaces, {"lo", "eth0", "br0"})
        cables.on_node("link", "set", "eth0", "master", "br0")
        cables.on_node("link", "set", "br0", "name", "br1")
        follow(interfaces, {"lo", "eth0", "br1"})
        drain(interfaces)
        by_name = {link.name: link for link in interfaces.table.entries.values()}
        assert by_name["eth0"].master == by_name["br1"].index
        # For a port that leaves it, a bridge sends a deletion event. The link still exists.
        cables.on_node("link", "set", "eth0", "nomaster")
        drain(interfaces)
        assert names(interfaces) == {"lo", "eth0", "br1"}
        cables.on_node("link", "del", "eth0")
        follow(interfaces, {"lo", "br1"})
        interfaces.close()


def test_lost_netlink_events_lead_to_a_resync() -> None:
    with client_link(connected=False) as cables:
        interfaces = follow_links()
        flood(cables)

        follow(interfaces, {"lo", "last0"})
        interfaces.close()


def flood(cables: ClientLink) -> None:
    """Cause more events than a socket's buffer holds."""
    commands = "".join(
        "link add flood0 type veth peer flood1\n"
        "link set flood0 up\nlink set flood1 up\nlink del flood0\n"
        for _ in range(100)
    )
    cables.batch(commands + "link add last0 type bridge\n")


def test_subnet_table_is_complete_from_the_start_and_followed() -> None:
    with client_link() as cables:
        cables.on_node("address", "add", "192.0.2.1/24", "dev", "eth0")
        cables.on_node("address", "add", "192.0.2.9/24", "dev", "eth0")
        followed = follow_subnets()
        (subnets,) = followed.table.subnets().values()
        assert [subnet.first for subnet in subnets] == [bytes([192, 0, 2, 0])]
        cables.on_node("address", "flush", "dev", "eth0")
        while followed.table.subnets():
            readable, _, _ = select.select([followed], [], [], 2.0)
            assert readable
            followed.receive()
        followed.resync()  # an empty list, without any part
        followed.receive()
        assert followed.table.subnets() == {}
        followed.close()
