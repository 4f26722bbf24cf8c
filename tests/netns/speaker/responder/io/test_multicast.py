"""Membership in multicast groups, as the kernel reports it."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address

import pytest
from support.layer2.client_link import ClientLink, client_link, client_link_fixture

from speaker.responder.io.multicast import Groups, ipv6_enabled

pytestmark = pytest.mark.netns

A, B = (IPv6Address(f"ff02::1:ff00:{last}").packed for last in (1, 2))


cables = client_link_fixture(ipv6=True)


def joined(cables: ClientLink) -> set[str]:
    """Return the solicited-node groups on eth0, as ``ip`` shows them."""
    words = cables.on_node("-6", "maddress", "show", "dev", "eth0").split()
    return {word for word in words if word.startswith("ff02::1:ff00:")}


def test_groups_are_joined_and_left(cables: ClientLink) -> None:
    groups = Groups(socket.if_nametoindex("eth0"))
    assert groups.follow(frozenset({A, B})) == ""
    assert joined(cables) == {"ff02::1:ff00:1", "ff02::1:ff00:2"}
    assert groups.follow(frozenset({B})) == ""
    assert groups.follow(frozenset({B})) == ""
    assert joined(cables) == {"ff02::1:ff00:2"}
    groups.close()
    assert joined(cables) == set()


def test_more_groups_are_joined_than_one_socket_can_join(cables: ClientLink) -> None:
    prefix = A[:13]
    many = frozenset(prefix + number.to_bytes(3) for number in range(4000))
    groups = Groups(socket.if_nametoindex("eth0"))
    assert groups.follow(many) == ""
    assert len(joined(cables)) == 4000
    few = frozenset({min(many), max(many)})
    assert groups.follow(few) == ""
    assert joined(cables) == {"ff02::1:ff00:0", "ff02::1:ff00:f9f"}
    assert groups.follow(many) == ""
    groups.close()
    assert joined(cables) == set()


def test_failed_group_join_is_retried(cables: ClientLink) -> None:
    cables.on_node("link", "add", "br0", "index", "77", "type", "bridge")
    cables.on_node("link", "del", "br0")
    groups = Groups(77)
    assert "failed to join a multicast group: No such device" in groups.follow(frozenset({A}))
    cables.on_node("link", "add", "eth1", "index", "77", "type", "bridge")
    assert groups.follow(frozenset({A})) == ""
    groups.close()


def test_ipv6_enabled_of_an_interface(cables: ClientLink) -> None:
    assert ipv6_enabled("eth0")
    assert not ipv6_enabled("ghost0")
    with client_link(ipv6=False):
        assert not ipv6_enabled("eth0")
    assert ipv6_enabled("eth0")
