"""Fixtures of the responder's tests; a module with IPv6 or more links has its own ``cables``.

Short: the link and the client themselves are in support/layer2/client_link.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.layer2.client_link import Client, ClientLink, client_link


@pytest.fixture
def cables() -> Iterator[ClientLink]:
    """Provide a node and a client, without IPv6; the test runs in the node's namespace."""
    with client_link() as made:
        yield made


@pytest.fixture
def client(cables: ClientLink) -> Iterator[Client]:
    """Provide a packet socket at the client's end."""
    with Client(cables) as opened:
        yield opened
