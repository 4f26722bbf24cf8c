"""A network segment for gossip tests: hosts, each in a network namespace, on one bridge.

Each host has several addresses of both families, so that several members can run on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from support.net.namespaces import add_address, connect, execute, ip, namespaces

ADDRESSES = 4


@dataclass(frozen=True, slots=True)
class Host:
    """A host. Numbers start at 1."""

    namespace: str
    number: int

    def ipv4(self, which: int = 1) -> str:
        """Return one of its addresses. The first is the default source address."""
        return f"10.78.{self.number}.{which}"

    def ipv6(self, which: int = 1) -> str:
        """Return one of its IPv6 addresses."""
        return f"fd78::{self.number}:{which}"

    def drop(self, *match: str) -> None:
        """Drop incoming IPv4 packets with an iptables match."""
        execute(self.namespace, "iptables", "-w", "-A", "INPUT", *match, "-j", "DROP")


@dataclass(frozen=True, slots=True)
class Segment:
    """The hosts, and operations on their links."""

    switch: str
    hosts: tuple[Host, ...]

    def cut(self, host: Host) -> None:
        """Set a host's link down at the bridge."""
        ip("-n", self.switch, "link", "set", _port(host), "down")

    def mend(self, host: Host) -> None:
        """Set a host's link up at the bridge."""
        ip("-n", self.switch, "link", "set", _port(host), "up")

    def partition(self, one: Host, other: Host) -> None:
        """Block IPv4 between two hosts in both directions."""
        one.drop("-s", f"{other.ipv4(0)}/24")
        other.drop("-s", f"{one.ipv4(0)}/24")


@contextlib.contextmanager
def segment(count: int) -> Iterator[Segment]:
    """Create the bridge and ``count`` hosts for the length of a block."""
    roles = [f"host{number}" for number in range(1, count + 1)]
    with namespaces("switch", *roles) as (switch, *names):
        hosts = tuple(Host(name, number) for number, name in enumerate(names, 1))
        ip("-n", switch, "link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
        ip("-n", switch, "link", "set", "switch", "up")
        for host in hosts:
            _attach(host, switch)
        yield Segment(switch, hosts)


def _attach(host: Host, switch: str) -> None:
    port = _port(host)
    connect(host.namespace, switch, other_name=port)
    ip("-n", switch, "link", "set", port, "master", "switch", "up")
    for which in range(1, ADDRESSES + 1):
        add_address(host.namespace, f"{host.ipv4(which)}/16")
        add_address(host.namespace, f"{host.ipv6(which)}/64")
    ip("-n", host.namespace, "link", "set", "eth0", "up")


def _port(host: Host) -> str:
    return f"port{host.number}"
