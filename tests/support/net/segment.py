"""A network segment for gossip tests: hosts, each in a network namespace, on one bridge.

Each host has several addresses of both families, so that several members can run on it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from support.net.requirements import require

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
        command = ["iptables", "-w", "-A", "INPUT", *match, "-j", "DROP"]
        _run("ip", "netns", "exec", self.namespace, *command)


@dataclass(frozen=True, slots=True)
class Segment:
    """The hosts, and operations on their links."""

    switch: str
    hosts: tuple[Host, ...]

    def cut(self, host: Host) -> None:
        """Set a host's link down at the bridge."""
        _ip("-n", self.switch, "link", "set", _port(host), "down")

    def mend(self, host: Host) -> None:
        """Set a host's link up at the bridge."""
        _ip("-n", self.switch, "link", "set", _port(host), "up")

    def partition(self, one: Host, other: Host) -> None:
        """Block IPv4 between two hosts in both directions."""
        one.drop("-s", f"{other.ipv4(0)}/24")
        other.drop("-s", f"{one.ipv4(0)}/24")


@contextlib.contextmanager
def segment(count: int) -> Iterator[Segment]:
    """Create the bridge and ``count`` hosts for the length of a block."""
    require(os.geteuid() == 0, "root, to make network namespaces")
    require(shutil.which("ip"), "ip, of iproute2")
    prefix = f"mgsp{os.getpid()}"
    switch = f"{prefix}s"
    hosts = tuple(Host(f"{prefix}h{number}", number) for number in range(1, count + 1))
    with contextlib.ExitStack() as cleanup:
        for name in (switch, *(host.namespace for host in hosts)):
            _ip("netns", "add", name)
            cleanup.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", switch, "link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
        _ip("-n", switch, "link", "set", "switch", "up")
        for host in hosts:
            _connect(host, switch)
        yield Segment(switch, hosts)


def _connect(host: Host, switch: str) -> None:
    port = _port(host)
    _ip("-n", host.namespace, "link", "add", "eth0", "type", "veth", "peer", port, "netns", switch)
    _ip("-n", switch, "link", "set", port, "master", "switch", "up")
    for which in range(1, ADDRESSES + 1):
        for address in (f"{host.ipv4(which)}/16", f"{host.ipv6(which)}/64"):
            options = ["nodad"] if ":" in address else []
            _ip("-n", host.namespace, "address", "add", address, "dev", "eth0", *options)
    _ip("-n", host.namespace, "link", "set", "eth0", "up")


def _port(host: Host) -> str:
    return f"port{host.number}"


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
