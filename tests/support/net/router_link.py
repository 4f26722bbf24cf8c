"""A veth pair for BGP tests: a node and a router, each in a network namespace.

The test enters the node's namespace, so that drivers under test run in the test process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from support.net.namespaces import add_address, connect, ip, namespaces

NODE = "10.77.0.1"
NODE_SECOND = "10.77.0.3"
ROUTER = "10.77.0.2"
NODE_V6 = "fd77::1"
ROUTER_V6 = "fd77::2"


@dataclass(frozen=True)
class RouterLink:
    """The names of the two network namespaces."""

    node: str
    router: str


@contextlib.contextmanager
def router_link() -> Iterator[RouterLink]:
    """Create both namespaces and the link for the length of a block."""
    with namespaces("node", "router", default="accept_dad=0") as (node, router):
        connect(node, router)
        for name, v4, v6 in ((node, NODE, NODE_V6), (router, ROUTER, ROUTER_V6)):
            add_address(name, f"{v4}/24")
            add_address(name, f"{v6}/64")
            ip("-n", name, "link", "set", "eth0", "up")
        add_address(node, f"{NODE_SECOND}/24")
        yield RouterLink(node, router)
