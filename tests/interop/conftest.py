"""Fixtures of the interop tests: a cable with our speaker at one end, and a segment for gossip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.bgp_node import Node, running_node
from support.bgp_router import Router
from support.bgp_routers import ROUTERS
from support.bgp_wire import Wire, inside, wire
from support.segment import Segment, segment


@pytest.fixture
def cable() -> Iterator[Wire]:
    """Provide two namespaces; the test runs in the node's."""
    with wire() as made, inside(made.node):
        yield made


@pytest.fixture
async def node(cable: Wire) -> AsyncIterator[Node]:
    """Provide our speaker, running in the node's namespace."""
    async with running_node() as made:
        yield made


@pytest.fixture(params=ROUTERS)
async def router(request: pytest.FixtureRequest, cable: Wire) -> AsyncIterator[Router]:
    """Provide each of the routers in turn, not started yet."""
    async with ROUTERS[request.param](cable.router) as made:
        yield made


@pytest.fixture
def lan() -> Iterator[Segment]:
    """Provide four hosts on a switch; the test runs on the first."""
    with segment(4) as made, inside(made.hosts[0].namespace):
        yield made
