"""Subnets of interfaces, and the interfaces that answer for an address."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.rtnetlink import SCOPE_LINK, Address, DumpDone, Link
from speaker.responder.subnets import Subnet, SubnetTable, placed


def packed(text: str) -> bytes:
    return ip_address(text).packed


def subnet(text: str) -> Subnet:
    network = ip_network(text)
    return Subnet.of(network.network_address.packed, network.prefixlen)


def link(index: int, name: str) -> Link:
    return Link(index, name, 1, 3, MacAddress(bytes(6)), 0)


@pytest.mark.parametrize(
    ("prefix", "address", "inside"),
    [
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.7/32", "192.0.2.7", True),
        ("0.0.0.0/0", "203.0.113.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::/64", "2001:db8::ffff", True),
        ("2001:db8::/64", "2001:db8:0:1::", False),
    ],
)
def test_addresses_on_a_subnet(prefix: str, address: str, inside: bool) -> None:
    assert (packed(address) in subnet(prefix)) is inside
    assert subnet(prefix).first == ip_network(prefix).network_address.packed


A = Address(1, packed("192.0.2.1"), 24, 0)
B = Address(2, packed("2001:db8::1"), 64, 0)


def gone(item: Address) -> Address:
    return Address(item.index, item.address, item.prefix_length, item.scope, present=False)


def test_a_dump_replaces_the_table_and_events_change_it() -> None:
    table = SubnetTable()
    number = table.list_requested()
    assert table.receive((A, B))
    assert not table.listed
    assert table.receive((DumpDone(number, complete=True),))
    assert table.listed
    assert table.subnets() == {1: {subnet("192.0.2.0/24")}, 2: {subnet("2001:db8::/64")}}
    assert table.addresses() == {1: {packed("192.0.2.1")}, 2: {packed("2001:db8::1")}}
    table.receive((gone(A),))
    assert table.addresses() == {2: {packed("2001:db8::1")}}
    assert table.subnets() == {2: {subnet("2001:db8::/64")}}
    number = table.list_requested()
    assert table.receive((A, DumpDone(number, complete=True)))
    assert table.subnets() == {1: {subnet("192.0.2.0/24")}}


def test_of_a_point_to_point_link_only_the_local_end_is_ours() -> None:
    table = SubnetTable()
    ours = packed("192.0.2.1")
    number = table.list_requested()
    table.receive((Address(1, packed("192.0.2.9"), 32, 0, local=ours), DumpDone(number, True)))
    assert table.subnets() == {1: {subnet("192.0.2.9/32")}}
    assert table.addresses() == {1: {ours}}


def test_events_during_a_dump_count() -> None:
    table = SubnetTable()
    number = table.list_requested()
    table.receive((A, gone(A), B))
    assert table.receive((DumpDone(number, complete=True),))
    assert table.subnets() == {2: {subnet("2001:db8::/64")}}


def test_an_earlier_or_incomplete_dump_changes_nothing() -> None:
    table = SubnetTable()
    first, second = table.list_requested(), table.list_requested()
    assert not table.receive((DumpDone(first, complete=True),))
    assert not table.receive((DumpDone(second, complete=False),))


def test_link_local_addresses_are_ignored() -> None:
    table = SubnetTable()
    table.receive((Address(1, packed("fe80::1"), 64, SCOPE_LINK),))
    assert table.subnets() == {}


LINKS = (link(1, "eth0"), link(2, "eth1"), link(3, "bond0"))
SUBNETS = {1: frozenset({subnet("192.0.2.0/24")}), 2: frozenset({subnet("192.0.0.0/16")})}
VIP, FAR = packed("192.0.2.9"), packed("203.0.113.9")


@pytest.mark.parametrize(
    ("address", "patterns", "any_interface", "where"),
    [
        (VIP, (), False, {1, 2}),
        (VIP, (), True, {1, 2, 3}),
        (FAR, (), False, {1, 2, 3}),
        (packed("192.0.9.9"), (), False, {2}),
        (VIP, ("eth1",), False, {2}),
        (VIP, ("bond.*", "eth0"), False, {1}),
        (VIP, ("bond.*",), False, {3}),  # no permitted interface is on the subnet
        (FAR, ("eth",), False, set()),
        (FAR, ("eth.",), False, {1, 2}),
    ],
)
def test_interfaces_that_answer_for_an_address(
    address: bytes, patterns: tuple[str, ...], any_interface: bool, where: set[int]
) -> None:
    found = placed({address: patterns}, LINKS, SUBNETS, any_interface=any_interface)
    assert {index for index, addresses in found.items() if addresses} == where
    assert found.keys() == {1, 2, 3}
