"""Plan of the responder's sockets: opened, closed, and announced on."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.rtnetlink import ARPHRD_ETHER, IFF_LOWER_UP, Link
from speaker.responder.placement import Placed
from speaker.responder.protocols import ARP, NDP
from speaker.responder.socket_plan import SocketKey, SocketPlan, SocketSpec, plan_sockets

A, B = b"\xc0\x00\x02\x01", b"\xc6\x33\x64\x01"
A6 = bytes.fromhex("20010db8000000000000000000000001")
NONE: frozenset[bytes] = frozenset()
ETH0 = Link(2, "eth0", ARPHRD_ETHER, IFF_LOWER_UP, MacAddress(b"\2\0\0\0\0\2"), 0, carriers=1)
ETH1 = Link(3, "eth1", ARPHRD_ETHER, IFF_LOWER_UP, MacAddress(b"\2\0\0\0\0\3"), 0, carriers=1)


def placed(*per_link: frozenset[bytes]) -> Placed:
    """Return a placement on the links 2, 3, ..."""
    return {
        (index, length): frozenset(a for a in addresses if len(a) == length)
        for index, addresses in enumerate(per_link, start=2)
        for length in (4, 16)
    }


def plan(
    links: list[Link],
    placement: Placed,
    opened: Mapping[SocketKey, SocketSpec] | None = None,
    *,
    known: Set[bytes] = NONE,
    without_ipv6: Set[str] = frozenset(),
) -> SocketPlan:
    return plan_sockets(
        {link.index: link for link in links},
        placement,
        opened or {},
        known=known,
        has_ipv6=lambda name: name not in without_ipv6,
    )


def test_every_answering_interface_has_an_arp_socket() -> None:
    found = plan([ETH0, ETH1], placed(frozenset({A}), NONE))
    assert found.wanted == {
        (2, ARP): SocketSpec(ETH0, frozenset({A})),
        (3, ARP): SocketSpec(ETH1, NONE),
    }
    assert found.closed == ()
    assert found.announced == {}


def test_a_neighbor_discovery_socket_needs_an_ipv6_address_and_ipv6_on_the_interface() -> None:
    both = placed(frozenset({A6}), frozenset({A6}))
    found = plan([ETH0, ETH1], both, without_ipv6={"eth1"})
    assert [key for key in found.wanted if key[1] is NDP] == [(2, NDP)]
    assert found.wanted[2, NDP] == SocketSpec(ETH0, frozenset({A6}))
    withdrawn = plan([ETH0], placed(NONE), found.wanted)
    assert withdrawn.closed == ((2, NDP), (3, ARP))


def test_sockets_of_interfaces_that_are_gone_or_renamed_are_closed() -> None:
    opened = plan([ETH0, ETH1], placed(frozenset({A}), frozenset({A}))).wanted
    renamed = replace(ETH1, name="uplink1")
    found = plan([renamed], placed(NONE, frozenset({A})), opened, known={A})
    assert found.closed == ((2, ARP), (3, ARP))
    assert found.wanted == {(3, ARP): SocketSpec(renamed, frozenset({A}))}
    assert found.announced == {}  # a new socket


def test_a_new_socket_announces_its_addresses_if_there_is_a_carrier() -> None:
    assert SocketSpec(ETH0, frozenset({A})).new == {A}
    assert SocketSpec(replace(ETH0, flags=0), frozenset({A})).new == NONE


def announced(before: SocketSpec, now: SocketSpec, known: Set[bytes] = NONE) -> frozenset[bytes]:
    key = (now.link.index, ARP)
    placement = {(now.link.index, 4): now.owned, (now.link.index, 16): NONE}
    return plan([now.link], placement, {key: before}, known=known).announced[key]


def test_addresses_that_moved_from_other_interfaces_are_announced() -> None:
    before, now = SocketSpec(ETH0, frozenset({A})), SocketSpec(ETH0, frozenset({A, B}))
    assert announced(before, now, known={A, B}) == {B}
    assert announced(before, now, known={A}) == NONE  # B has just become owned: a takeover
    assert announced(now, before, known={A, B}) == NONE


def test_all_addresses_are_announced_after_a_change_of_the_link() -> None:
    owned = frozenset({A, B})
    up, down = SocketSpec(ETH0, owned), SocketSpec(replace(ETH0, flags=0), owned)
    other_mac = SocketSpec(replace(ETH0, mac=MacAddress(b"\2\0\0\0\0\7")), owned)
    # Carrier lost and found again between two plans.
    again = SocketSpec(replace(ETH0, carriers=2), owned)
    assert announced(up, up) == NONE
    assert announced(up, down) == NONE
    assert announced(down, up) == owned
    assert announced(up, other_mac) == owned
    assert announced(up, again) == owned
    assert announced(again, again) == NONE
