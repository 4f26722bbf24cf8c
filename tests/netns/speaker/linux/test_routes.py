"""Neighbors and forwarding, by a kernel's own routes and settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.net.namespaces import inside
from support.net.router_link import ROUTER, ROUTER_V6, RouterLink, router_link

from speaker.linux.routes import forwards, is_neighbor

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def cable() -> Iterator[RouterLink]:
    with router_link() as made, inside(made.node):
        for route in (
            ("10.99.0.0/16", "via", ROUTER),
            ("10.99.5.0/24", "dev", "eth0"),
            ("fd99::/32", "via", ROUTER_V6),
            ("unreachable", "10.77.0.9"),
        ):
            subprocess.run(["ip", "route", "add", *route], check=True)
        yield made


@pytest.mark.parametrize(
    ("address", "near"),
    [
        (ROUTER, True),
        (ROUTER_V6, True),
        ("10.99.1.1", False),
        ("10.99.5.1", True),
        ("10.77.0.9", False),
        ("192.0.2.1", False),
        ("fd99::1", False),
        ("2001:db8::1", False),
    ],
)
def test_neighbor_is_on_link_by_the_kernels_routes(address: str, near: bool) -> None:
    assert is_neighbor(ip_address(address)) is near


def test_default_route_makes_no_host_a_neighbor() -> None:
    subprocess.run(["ip", "route", "add", "default", "via", ROUTER], check=True)
    assert not is_neighbor(ip_address("192.0.2.1"))
    assert is_neighbor(ip_address(ROUTER))


@pytest.mark.parametrize(
    ("version", "switch"), [(4, "ipv4/ip_forward"), (6, "ipv6/conf/all/forwarding")]
)
def test_forwards_reads_the_kernels_setting(version: int, switch: str) -> None:
    for value in ("0", "1"):
        Path("/proc/sys/net", switch).write_text(value)
        assert forwards(version) is (value == "1")
