"""Two nodes and a client around a router, each in a network namespace.

The nodes have the same service addresses, and the client reaches them through the router only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from support.net.namespaces import add_address, connect, execute, inside, ip, namespaces

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
    with namespaces("router", "client", "node1", "node2") as (router, client, *nodes):
        for setting in (
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.fib_multipath_hash_policy=1",  # hash ports as well
            "net.ipv6.fib_multipath_hash_policy=1",
        ):
            execute(router, "sysctl", "-qw", setting)
        for number, host in enumerate((client, *nodes)):
            _join(router, host, number)
        for node in nodes:
            for address in services:
                add_address(node, address, "lo")
        yield Paths(router, client, (nodes[0], nodes[1]))


def _join(router: str, host: str, number: int) -> None:
    port = f"eth{number}"
    connect(host, router, other_name=port)
    for name, device, last in ((router, port, 1), (host, "eth0", 2)):
        add_address(name, f"10.79.{number}.{last}/24", device)
        add_address(name, f"fd79:{number}::{last}/64", device)
        ip("-n", name, "link", "set", device, "up")
    ip("-n", host, "route", "add", "default", "via", f"10.79.{number}.1")
    ip("-n", host, "route", "add", "default", "via", f"fd79:{number}::1")
