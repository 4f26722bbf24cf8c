"""Fixtures of the responder's tests; a module with IPv6 or more links has its own ``cables``.

Short: the link and the client themselves are in support/layer2/client_link.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.layer2.client_link import Client, ClientLink, client_link_fixture

cables = client_link_fixture()  # without IPv6


@pytest.fixture
def client(cables: ClientLink) -> Iterator[Client]:
    """Provide a packet socket at the client's end."""
    with Client(cables) as opened:
        yield opened
