"""Our speaker against BIRD, asserted from BIRD's side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.bgp_node import Node, peer, route
from support.bgp_wire import NODE, NODE_V6, ROUTER, ROUTER_V6, Wire, eventually
from support.bird import Bird, bird

from speaker.bgp.events import SessionDown, SessionUp

pytestmark = pytest.mark.interop

HOST = "192.0.2.1/32"


@pytest.fixture
async def router(cable: Wire) -> AsyncIterator[Bird]:
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


async def forgotten(router: Bird, prefix: str = HOST) -> None:
    await eventually(lambda: router.route(prefix), lambda path: not path)


async def test_ebgp_a_route_appears_changes_and_goes(node: Node, router: Bird) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST, 300, (64512 << 16 | 1, 65535 << 16 | 0xFF02)))

    path = await learned(router)
    assert path["origin"] == "Incomplete"
    assert path["as_path"] == "64512"
    assert path["next_hop"] == NODE
    assert path["community"] == "(64512,1) (65535,65282)"

    node.advertise(route(HOST))
    await eventually(lambda: router.route(HOST), lambda path: "community" not in path)
    node.advertise()
    await forgotten(router)


async def test_ibgp_carries_local_preference_and_an_empty_path(node: Node, router: Bird) -> None:
    await router.start(config(local=64512))
    node.peer_with(peer(ROUTER, 64512, 64512))
    node.advertise(route(HOST, 300))

    path = await learned(router)
    assert path["local_pref"] == "300"
    assert path["as_path"] == ""


async def test_four_octet_as_numbers(node: Node, router: Bird) -> None:
    await router.start(config(local=4_200_000_002, remote=4_200_000_001))
    node.peer_with(peer(ROUTER, 4_200_000_001, 4_200_000_002))
    node.advertise(route(HOST))

    assert (await learned(router))["as_path"] == "4200000001"


async def test_a_router_without_four_octet_as_numbers(node: Node, router: Bird) -> None:
    await router.start(config("enable as4 off"))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    assert (await learned(router))["as_path"] == "64512"


async def test_a_wide_as_number_of_ours_is_too_much_for_it(node: Node, router: Bird) -> None:
    await router.start(config("enable as4 off"))
    node.peer_with(peer(ROUTER, 65536, 64513))

    await node.failed("peer does not support 4-byte ASNs")
    assert not any(isinstance(event, SessionUp) for event in node.events)


async def test_both_families_over_an_ipv6_session(node: Node, router: Bird) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER_V6, 64512, 64513))
    node.advertise(route("2001:db8::1/128"), route("2001:db8:1::/48"), route(HOST))

    path = await learned(router, "2001:db8::1/128")
    assert path["next_hop"] == NODE_V6
    assert await router.prefixes() == {"2001:db8::1/128", "2001:db8:1::/48", HOST}
    assert (await router.route(HOST))["next_hop"] == NODE

    node.advertise(route("2001:db8:1::/48"))
    await eventually(router.prefixes, lambda prefixes: prefixes == {"2001:db8:1::/48"})


async def test_both_families_over_a_session_each(node: Node, router: Bird) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513), peer(ROUTER_V6, 64512, 64513))
    node.advertise(route(HOST), route("2001:db8::1/128"))

    await eventually(router.prefixes, lambda prefixes: prefixes == {HOST, "2001:db8::1/128"})


async def test_md5(node: Node, router: Bird) -> None:
    await router.start(config('password "s3cret"'))
    node.peer_with(
        peer(ROUTER, 64512, 64513, password="s3cret"),
        peer(ROUTER_V6, 64512, 64513, password="s3cret"),
    )
    node.advertise(route(HOST), route("2001:db8::1/128"))

    await eventually(router.prefixes, lambda prefixes: prefixes == {HOST, "2001:db8::1/128"})


async def test_after_a_restart_of_the_router_it_has_the_full_set(node: Node, router: Bird) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST), route("192.0.2.2/32"))
    await learned(router)
    await node.saw(SessionUp)
    await router.restart()

    await node.saw(SessionDown)
    await node.saw(SessionUp)
    await eventually(router.prefixes, lambda prefixes: prefixes == {HOST, "192.0.2.2/32"})


async def test_thousands_of_routes_come_complete_and_go(node: Node, router: Bird) -> None:
    await router.start(config())
    routes = [route(f"10.{n >> 8}.{n & 255}.1/32", communities=(n & 3,)) for n in range(5000)]
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(*routes)
    wanted = {str(one.prefix) for one in routes}
    await eventually(router.prefixes, lambda prefixes: prefixes == wanted)

    node.advertise()
    await eventually(router.prefixes, lambda prefixes: prefixes == set())


async def test_the_hold_time_is_the_shorter_one_and_kept(node: Node, router: Bird) -> None:
    await router.start(config("hold time 3"))
    node.peer_with(peer(ROUTER, 64512, 64513))
    assert (await node.saw(SessionUp)).hold_time == 3
    said = await eventually(lambda: router.protocol("four"), lambda text: "Established" in text)

    hold_timer = next(line for line in said.splitlines() if "Hold timer" in line)
    assert hold_timer.endswith("/3")


async def test_a_node_that_stops_withdraws_by_cease(node: Node, router: Bird) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    await learned(router)
    node.speaker.stop()

    await forgotten(router)
    assert "Received: Administrative shutdown" in await router.protocol("four")
