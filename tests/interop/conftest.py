"""Fixtures of the BGP interop tests: a cable, and our speaker at one end of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.bgp_node import Node, running_node
from support.bgp_wire import Wire, inside, wire


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
