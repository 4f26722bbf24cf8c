"""Fixture of the tests of the BGP drivers. Short: the veth pair is in tests/conftest.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.bgp.node import Node, running_node
from support.net.router_link import RouterLink


@pytest.fixture
async def node(cable: RouterLink) -> AsyncIterator[Node]:
    """Provide our speaker's BGP, running in the node's namespace."""
    async with running_node() as made:
        yield made
