"""Fixtures of the interop tests: a veth pair with our speaker at one end, a segment for gossip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.bgp.frr import Frr, frr
from support.bgp.node import Node, running_node
from support.bgp.router import Router
from support.bgp.routers import ROUTERS
from support.net.namespaces import inside
from support.net.router_link import RouterLink
from support.net.segment import Segment, segment


@pytest.fixture
async def node(cable: RouterLink) -> AsyncIterator[Node]:
    """Provide our speaker, running in the node's namespace."""
    async with running_node() as made:
        yield made


@pytest.fixture
async def router(cable: RouterLink) -> AsyncIterator[Frr]:
    """Provide FRR at the router's end; the test starts its daemons."""
    async with frr(cable.router) as made:
        yield made


@pytest.fixture(params=ROUTERS)
async def any_router(request: pytest.FixtureRequest, cable: RouterLink) -> AsyncIterator[Router]:
    """Provide each of the routers in turn; the test starts it."""
    async with ROUTERS[request.param](cable.router) as made:
        yield made


@pytest.fixture
def lan() -> Iterator[Segment]:
    """Provide four hosts on a switch; the test runs on the first."""
    with segment(4) as made, inside(made.hosts[0].namespace):
        yield made
