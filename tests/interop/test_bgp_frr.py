"""Our speaker against FRR, asserted from FRR's side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.bgp_node import Node, peer, route, running_node
from support.bgp_wire import NODE, ROUTER, Wire, eventually, inside, wire
from support.frr import Frr, frr

from speaker.bgp.events import SessionUp

pytestmark = pytest.mark.interop


@pytest.fixture
def cable() -> Iterator[Wire]:
    with wire() as made, inside(made.node):
        yield made


@pytest.fixture
async def router(cable: Wire) -> AsyncIterator[Frr]:
    async with frr(cable.router) as made:
        yield made


@pytest.fixture
async def node(cable: Wire) -> AsyncIterator[Node]:
    async with running_node() as made:
        yield made


def ebgp(more: str = "", local: int = 64513, remote: int = 64512) -> str:
    return f"""
router bgp {local}
 bgp router-id 10.9.9.9
 no bgp ebgp-requires-policy
 neighbor {NODE} remote-as {remote}
 neighbor {NODE} passive
{more}
"""


async def test_a_route_appears_and_goes(node: Node, router: Frr) -> None:
    await router.start(ebgp())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route("192.0.2.1/32"))

    up = await node.saw(SessionUp)
    assert (up.local_asn, up.peer_asn, up.hold_time) == (64512, 64513, 90)
    path = await eventually(lambda: router.route("192.0.2.1/32"), bool)
    assert path["nexthops"][0]["ip"] == NODE
    assert path["aspath"]["string"] == "64512"
    assert path["origin"] == "incomplete"

    node.advertise()
    await eventually(router.prefixes, lambda prefixes: prefixes == set())
