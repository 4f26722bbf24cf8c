"""The addresses of interfaces, as the kernel of a namespace reports them."""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from support.net.router_link import NODE, NODE_V6

from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from speaker.linux.addresses import addresses_beside

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("cable")]


def link_local() -> IPv6Address:
    output = subprocess.run(
        ["ip", "-6", "-j", "address", "show", "dev", "eth0", "scope", "link"],
        check=True,
        capture_output=True,
    )
    ((interface),) = json.loads(output.stdout)
    (address,) = (a["local"] for a in interface["addr_info"] if a)
    return IPv6Address(address)


def test_addresses_of_the_other_family_on_the_same_interface() -> None:
    v4, v6 = IPv4Address(NODE), IPv6Address(NODE_V6)

    assert addresses_beside(v6) == LocalAddresses(v6, ipv4=v4)
    assert addresses_beside(v4) == LocalAddresses(v4, ipv6=v6)
    assert addresses_beside(link_local()) == LocalAddresses(link_local(), v4, v6)
    assert addresses_beside(IPv6Address("::1")).ipv4 == IPv4Address("127.0.0.1")
    assert addresses_beside(IPv4Address("127.0.0.1")).ipv6 is None


def test_second_address_has_the_same_addresses_beside_it() -> None:
    subprocess.run(
        ["ip", "address", "add", "203.0.113.7/32", "dev", "eth0", "label", "eth0:1"], check=True
    )
    second = IPv4Address("203.0.113.7")

    assert addresses_beside(second) == LocalAddresses(second, ipv6=IPv6Address(NODE_V6))


def test_link_local_address_is_looked_up_on_the_named_interface() -> None:
    own = IPv6Address("fe80::1")
    for name in ("lo", "eth0"):
        subprocess.run(["ip", "address", "add", f"{own}/64", "dev", name, "nodad"], check=True)

    assert addresses_beside(own, "eth0").ipv4 == IPv4Address(NODE)
    assert addresses_beside(own, "lo").ipv4 == IPv4Address("127.0.0.1")


def test_missing_interface_has_no_addresses() -> None:
    own = IPv4Address(NODE)

    assert addresses_beside(own, "eth9") == LocalAddresses(own)


def test_disabled_ipv6_gives_no_ipv6_address() -> None:
    Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("1")

    assert addresses_beside(IPv4Address(NODE)) == LocalAddresses(IPv4Address(NODE))


def test_only_address_of_an_interface_has_none_beside_it() -> None:
    subprocess.run(["ip", "-4", "address", "flush", "dev", "eth0"], check=True)
    own = IPv6Address(NODE_V6)

    assert addresses_beside(own) == LocalAddresses(own)


@pytest.mark.parametrize("address", ["2001:db8::1", "192.0.2.1"])
def test_foreign_address_has_none_beside_it(address: str) -> None:
    own = ip_address(address)

    assert addresses_beside(own) == LocalAddresses(own)
