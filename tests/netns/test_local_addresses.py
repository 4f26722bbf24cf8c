"""The addresses of interfaces, as the kernel of a namespace tells them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest
from support.bgp_wire import NODE, NODE_V6, inside, wire

from speaker.drivers.local_addresses import ipv4_beside

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with wire() as made, inside(made.node):
        yield


def test_the_first_ipv4_address_beside_an_ipv6_one() -> None:
    assert ipv4_beside(IPv6Address(NODE_V6)) == IPv4Address(NODE)
    assert ipv4_beside(IPv6Address("::1")) == IPv4Address("127.0.0.1")


def test_an_interface_without_ipv4_has_none() -> None:
    subprocess.run(["ip", "-4", "address", "flush", "dev", "eth0"], check=True)

    assert ipv4_beside(IPv6Address(NODE_V6)) is None


def test_an_address_of_somebody_else_has_none() -> None:
    assert ipv4_beside(IPv6Address("2001:db8::1")) is None
