"""Our speaker against BIRD, asserted from BIRD's side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.bgp.bird import Bird, bird
from support.bgp.node import Node, peer, route
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6, RouterLink
from support.net.waiting import eventually

from metallb_py.protocols.bgp.effects import SessionUp

pytestmark = pytest.mark.interop

HOST = "192.0.2.1/32"


@pytest.fixture
async def router(cable: RouterLink) -> AsyncIterator[Bird]:
    async with bird(cable.router) as made:
        yield made


def config(*options: str, local: int = 64513, remote: int = 64512) -> str:
    """Configure BIRD to wait for the node, over either family."""
    sessions = "\n".join(
        f"""
protocol bgp {name} {{
    local {ours} as {local};
    neighbor {theirs} as {remote};
    passive;
    {" ".join(f"{option};" for option in options)}
    ipv4 {{ import all; export none; }};
    ipv6 {{ import all; export none; }};
}}"""
        for name, ours, theirs in (("four", ROUTER, NODE), ("six", ROUTER_V6, NODE_V6))
    )
    return f"router id 10.9.9.9;\nprotocol device {{}}\n{sessions}\n"


async def learned(router: Bird, prefix: str = HOST) -> dict[str, str]:
    return await eventually(lambda: router.route(prefix), bool)


async def withdrawn(router: Bird, prefix: str = HOST) -> None:
    await eventually(lambda: router.route(prefix), lambda path: not path)


async def test_a_router_without_four_octet_as_numbers(node: Node, router: Bird) -> None:
    await router.start(config("enable as4 off"))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    assert (await learned(router))["as_path"] == "64512"


async def test_a_four_octet_as_number_needs_the_capability_of_the_router(
    node: Node, router: Bird
) -> None:
    await router.start(config("enable as4 off"))
    node.peer_with(peer(ROUTER, 65536, 64513))

    await node.failed("peer does not support 4-byte ASNs")
    assert not node.pending(SessionUp)


async def test_the_shorter_hold_time_is_negotiated(node: Node, router: Bird) -> None:
    await router.start(config("hold time 3"))
    node.peer_with(peer(ROUTER, 64512, 64513))
    assert (await node.next_event(SessionUp)).terms.hold_time == 3
    output = await eventually(lambda: router.protocol("four"), lambda text: "Established" in text)

    hold_timer = next(line for line in output.splitlines() if "Hold timer" in line)
    assert hold_timer.endswith("/3")
