"""Settings of hypothesis, and the veth pair of the suites that run our BGP and BFD.

Short: what only one suite uses is in that suite's conftest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.net.namespaces import inside
from support.net.router_link import RouterLink, router_link

# Without a deadline, for a busy machine is no failure.
settings.register_profile("metallb", settings(deadline=None))
settings.load_profile("metallb")


@pytest.fixture
def cable() -> Iterator[RouterLink]:
    """Provide two namespaces; the test runs in the node's."""
    with router_link() as made, inside(made.node):
        yield made
