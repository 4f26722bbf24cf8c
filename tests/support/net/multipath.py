"""Two nodes and a client around a router, each in a network namespace.

The nodes have the same service addresses, and the client reaches them through the router only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from support.net.requirements import require
from support.net.router_link import inside

MAX_CONCURRENT = 50
"""Limit of concurrent connections, below the backlog of a listening socket."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The namespaces. Link number n connects the router, at .1, with a host, at .2."""

    router: str
    client: str
    nodes: tuple[str, str]

    def router_addresses(self, number: int) -> tuple[str, str]:
        """Return the router's addresses on the link of node 1 or 2."""
        return f"10.79.{number}.1", f"fd79:{number}::1"

    def node_addresses(self, number: int) -> tuple[str, str]:
        """Return the addresses of node 1 or 2."""
        return f"10.79.{number}.2", f"fd79:{number}::2"

    async def connect(self, address: str, port: int, times: int) -> Counter[str]:
        """Connect from the client ``times`` times, each from another port; count the responders.

        Each responder sends its name.
        """
        turns = asyncio.Semaphore(MAX_CONCURRENT)

        async def query() -> str:
            async with turns:
                reader, writer = await asyncio.open_connection(address, port)
                answer = await reader.read()
                writer.close()
                return answer.decode()

        with inside(self.client):
            return Counter(await asyncio.gather(*(query() for _ in range(times))))


@contextlib.contextmanager
def paths(services: Sequence[str]) -> Iterator[Paths]:
    """Create the namespaces, with these addresses on both nodes, for the length of a block."""
    require(os.geteuid() == 0, "root, to make network namespaces")
    require(shutil.which("ip"), "ip, of iproute2")
    router, client, *nodes = names = [f"mpath{os.getpid()}{end}" for end in ("r", "c", "1", "2")]
    with contextlib.ExitStack() as cleanup:
        for name in names:
            _ip("netns", "add", name)
            cleanup.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        for setting in (
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.fib_multipath_hash_policy=1",  # hash ports as well
            "net.ipv6.fib_multipath_hash_policy=1",
        ):
            _ip("netns", "exec", router, "sysctl", "-qw", setting)
        for number, host in enumerate((client, *nodes)):
            _join(router, host, number)
        for node in nodes:
            for address in services:
                _ip("-n", node, "address", "add", address, "dev", "lo", "nodad")
        yield Paths(router, client, (nodes[0], nodes[1]))


def _join(router: str, host: str, number: int) -> None:
    port = f"eth{number}"
    _ip("-n", host, "link", "add", "eth0", "type", "veth", "peer", port, "netns", router)
    for name, device, last in ((router, port, 1), (host, "eth0", 2)):
        _ip("-n", name, "address", "add", f"10.79.{number}.{last}/24", "dev", device)
        _ip("-n", name, "address", "add", f"fd79:{number}::{last}/64", "dev", device, "nodad")
        _ip("-n", name, "link", "set", device, "up")
    _ip("-n", host, "route", "add", "default", "via", f"10.79.{number}.1")
    _ip("-n", host, "route", "add", "default", "via", f"fd79:{number}::1")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
