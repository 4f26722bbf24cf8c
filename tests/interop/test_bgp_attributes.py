"""What is said of routes, and by which next hops, as FRR, BIRD, GoBGP and ExaBGP read it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.bgp_node import Node, peer, route
from support.bgp_router import Router, Terms, Told
from support.bgp_routers import HOST, HOST_V6, learned
from support.bgp_wire import NODE, NODE_SECOND, NODE_V6, ROUTER, ROUTER_V6, eventually

from metallb_py.model.config import AddressFamily, Origin

pytestmark = pytest.mark.interop

LARGE = ((64512, 0, 7), (4_200_000_001, 4_294_967_295, 1))
NO_EXPORT, NO_ADVERTISE = 0xFFFFFF01, 0xFFFFFF02


async def test_everything_that_can_be_said_outside(node: Node, router: Router) -> None:
    await router.start(Terms())
    node.peer_with(peer(ROUTER, 64512, 64513))
    plain = route(HOST)
    node.advertise(
        replace(
            plain,
            local_pref=300,
            communities=(64512 << 16 | 1, NO_EXPORT, NO_ADVERTISE),
            large_communities=LARGE,
            med=50,
            as_path_prepend=2,
        )
    )
    assert await learned(router) == Told(
        NODE,
        (64512, 64512, 64512),
        "incomplete",
        med=50,
        communities=frozenset({(64512, 1), (0xFFFF, 0xFF01), (0xFFFF, 0xFF02)}),
        large_communities=frozenset(LARGE),
    )

    node.advertise(replace(plain, large_communities=LARGE[:1], med=0))
    wanted = Told(NODE, (64512,), "incomplete", med=0, large_communities=frozenset({(64512, 0, 7)}))
    await eventually(lambda: router.told(HOST), lambda told: told == wanted)


async def test_everything_that_can_be_said_inside(node: Node, router: Router) -> None:
    await router.start(Terms(64512, 64512))
    node.peer_with(peer(ROUTER, 64512, 64512))
    node.advertise(
        replace(route(HOST, 300, (64512 << 16 | 1,)), large_communities=LARGE, med=4_294_967_295)
    )

    assert await learned(router) == Told(
        NODE,
        (),
        "incomplete",
        local_pref=300,
        med=4_294_967_295,
        communities=frozenset({(64512, 1)}),
        large_communities=frozenset(LARGE),
    )


async def test_a_wide_as_number_in_front_of_itself(node: Node, router: Router) -> None:
    await router.start(Terms(4_200_000_002, 4_200_000_001))
    node.peer_with(peer(ROUTER, 4_200_000_001, 4_200_000_002))
    node.advertise(replace(route(HOST), as_path_prepend=3))

    assert (await learned(router)).as_path == (4_200_000_001,) * 4


async def test_the_origin_that_a_peer_wants(node: Node, router: Router) -> None:
    await router.start(Terms())
    node.peer_with(peer(ROUTER, 64512, 64513, origin=Origin.IGP))
    node.advertise(route(HOST))

    assert await learned(router) == Told(NODE, (64512,), "igp")


async def test_ipv6_prefixes_over_an_ipv4_session(node: Node, router: Router) -> None:
    await router.start(Terms())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST), replace(route(HOST_V6), large_communities=LARGE))

    assert await learned(router, HOST_V6) == Told(
        NODE_V6, (64512,), "incomplete", large_communities=frozenset(LARGE)
    )
    assert await learned(router) == Told(NODE, (64512,), "incomplete")
    node.advertise(route(HOST))
    await eventually(router.prefixes, lambda prefixes: prefixes == {HOST})


async def test_ipv4_prefixes_with_an_ipv6_next_hop(node: Node, router: Router) -> None:
    await router.start(Terms(extended_next_hop=True))
    node.peer_with(peer(ROUTER_V6, 64512, 64513))
    node.advertise(route(HOST), route(HOST_V6))

    for prefix in (HOST, HOST_V6):
        assert await learned(router, prefix) == Told(NODE_V6, (64512,), "incomplete")
    node.advertise(route(HOST_V6))
    await eventually(router.prefixes, lambda prefixes: prefixes == {HOST_V6})


async def test_next_hops_that_a_peer_wants(node: Node, router: Router) -> None:
    await router.start(Terms())
    hops = (ip_address(NODE_SECOND), ip_address("fd77::3"))
    node.peer_with(peer(ROUTER, 64512, 64513, next_hops=hops))
    node.advertise(route(HOST), route(HOST_V6))

    assert (await learned(router)).next_hop == NODE_SECOND
    assert (await learned(router, HOST_V6)).next_hop == "fd77::3"


@pytest.mark.parametrize(
    ("family", "wanted"), [(AddressFamily.IPV4, HOST), (AddressFamily.IPV6, HOST_V6)]
)
async def test_one_family_alone(
    node: Node, router: Router, family: AddressFamily, wanted: str
) -> None:
    await router.start(Terms())
    node.peer_with(peer(ROUTER, 64512, 64513, address_families=frozenset({family})))
    node.advertise(route(HOST), route(HOST_V6))

    await learned(router, wanted)
    assert await router.prefixes() == {wanted}
