"""Path attributes and next hops, as FRR, BIRD, GoBGP and ExaBGP receive them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.bgp.node import Node, peer, route
from support.bgp.router import ReceivedRoute, Router, RouterSession
from support.bgp.routers import HOST, HOST_V6, learned
from support.net.router_link import NODE, NODE_SECOND, NODE_V6, ROUTER, ROUTER_V6
from support.net.waiting import eventually

from metallb_py.addresses import AddressFamily
from metallb_py.model.peers import Origin

pytestmark = pytest.mark.interop

LARGE = frozenset({(64512, 0, 7), (4_200_000_001, 4_294_967_295, 1)})
NO_EXPORT, NO_ADVERTISE = 0xFFFFFF01, 0xFFFFFF02


async def test_all_path_attributes_over_ebgp(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(
        route(
            HOST,
            local_pref=300,
            communities=(64512 << 16 | 1, NO_EXPORT, NO_ADVERTISE),
            large_communities=LARGE,
            med=50,
            as_path_prepend=2,
        )
    )
    assert await learned(any_router) == ReceivedRoute(
        NODE,
        (64512, 64512, 64512),
        "incomplete",
        med=50,
        communities=frozenset({(64512, 1), (0xFFFF, 0xFF01), (0xFFFF, 0xFF02)}),
        large_communities=LARGE,
    )

    node.advertise(route(HOST, large_communities=frozenset({(64512, 0, 7)}), med=0))
    wanted = ReceivedRoute(
        NODE, (64512,), "incomplete", med=0, large_communities=frozenset({(64512, 0, 7)})
    )
    await eventually(lambda: any_router.received_route(HOST), lambda found: found == wanted)


async def test_all_path_attributes_over_ibgp(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession(64512, 64512))
    node.peer_with(peer(ROUTER, 64512, 64512))
    node.advertise(route(HOST, 300, (64512 << 16 | 1,), large_communities=LARGE, med=4_294_967_295))

    assert await learned(any_router) == ReceivedRoute(
        NODE,
        (),
        "incomplete",
        local_pref=300,
        med=4_294_967_295,
        communities=frozenset({(64512, 1)}),
        large_communities=LARGE,
    )


async def test_as_path_prepend_of_a_four_octet_as_number(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession(4_200_000_002, 4_200_000_001))
    node.peer_with(peer(ROUTER, 4_200_000_001, 4_200_000_002))
    node.advertise(route(HOST, as_path_prepend=3))

    assert (await learned(any_router)).as_path == (4_200_000_001,) * 4


async def test_the_configured_origin_of_a_peer(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513, origin=Origin.IGP))
    node.advertise(route(HOST))

    assert await learned(any_router) == ReceivedRoute(NODE, (64512,), "igp")


async def test_ipv6_prefixes_over_an_ipv4_session(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST), route(HOST_V6, large_communities=LARGE))

    assert await learned(any_router, HOST_V6) == ReceivedRoute(
        NODE_V6, (64512,), "incomplete", large_communities=LARGE
    )
    assert await learned(any_router) == ReceivedRoute(NODE, (64512,), "incomplete")
    node.advertise(route(HOST))
    await eventually(any_router.prefixes, lambda prefixes: prefixes == {HOST})


async def test_extended_next_hop_ipv4_prefixes_with_an_ipv6_next_hop(
    node: Node, any_router: Router
) -> None:
    await any_router.start(RouterSession(extended_next_hop=True))
    node.peer_with(peer(ROUTER_V6, 64512, 64513))
    node.advertise(route(HOST), route(HOST_V6))

    for prefix in (HOST, HOST_V6):
        assert await learned(any_router, prefix) == ReceivedRoute(NODE_V6, (64512,), "incomplete")
    node.advertise(route(HOST_V6))
    await eventually(any_router.prefixes, lambda prefixes: prefixes == {HOST_V6})


async def test_the_configured_next_hops_of_a_peer(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession())
    hops = (ip_address(NODE_SECOND), ip_address("fd77::3"))
    node.peer_with(peer(ROUTER, 64512, 64513, next_hops=hops))
    node.advertise(route(HOST), route(HOST_V6))

    assert (await learned(any_router)).next_hop == NODE_SECOND
    assert (await learned(any_router, HOST_V6)).next_hop == "fd77::3"


@pytest.mark.parametrize(
    ("family", "wanted"), [(AddressFamily.IPV4, HOST), (AddressFamily.IPV6, HOST_V6)]
)
async def test_a_session_limited_to_one_address_family(
    node: Node, any_router: Router, family: AddressFamily, wanted: str
) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513, address_families=frozenset({family})))
    node.advertise(route(HOST), route(HOST_V6))

    await learned(any_router, wanted)
    assert await any_router.prefixes() == {wanted}
