"""Our speaker against FRR, BIRD, GoBGP and ExaBGP, asserted from their side."""

from __future__ import annotations

import pytest
from support.bgp.node import Node, peer, route
from support.bgp.router import ReceivedRoute, Router, RouterSession
from support.bgp.routers import HOST, HOST_V6, learned
from support.net.program import output
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6, RouterLink
from support.net.waiting import eventually

from metallb_py.protocols.bgp.effects import SessionDown, SessionUp

pytestmark = pytest.mark.interop


async def has_prefixes(router: Router, *prefixes: str) -> None:
    await eventually(router.prefixes, lambda found: found == set(prefixes))


async def md5_failures(namespace: str) -> int:
    """Return how many segments the namespace's kernel dropped for their TCP MD5 signature."""
    return int((await output(namespace, "nstat", "-asz", "TcpExtTCPMD5Failure")).split()[-2])


async def test_ebgp_route_is_advertised_updated_and_withdrawn(
    node: Node, any_router: Router
) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST, 300, (64512 << 16 | 1, 65535 << 16 | 0xFF02)))
    assert await learned(any_router) == ReceivedRoute(
        NODE, (64512,), "incomplete", communities=frozenset({(64512, 1), (65535, 0xFF02)})
    )

    node.advertise(route(HOST))
    await eventually(
        lambda: any_router.received_route(HOST),
        lambda found: found == ReceivedRoute(NODE, (64512,), "incomplete"),
    )
    node.advertise()
    await has_prefixes(any_router)


@pytest.mark.parametrize("local_pref", [0, 300])
async def test_ibgp_carries_local_pref_and_an_empty_as_path(
    node: Node, any_router: Router, local_pref: int
) -> None:
    await any_router.start(RouterSession(64512, 64512))
    node.peer_with(peer(ROUTER, 64512, 64512))
    node.advertise(route(HOST, local_pref))

    assert await learned(any_router) == ReceivedRoute(NODE, (), "incomplete", local_pref=local_pref)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(4_200_000_001, 4_200_000_002), (64512, 4_200_000_002), (4_200_000_001, 64513)],
)
async def test_four_octet_as_numbers(
    node: Node, any_router: Router, ours: int, theirs: int
) -> None:
    await any_router.start(RouterSession(theirs, ours))
    node.peer_with(peer(ROUTER, ours, theirs))
    node.advertise(route(HOST))

    assert (await learned(any_router)).as_path == (ours,)
    terms = (await node.next_event(SessionUp)).terms
    assert (terms.local_asn, terms.peer_asn) == (ours, theirs)


async def test_ipv6_prefixes_over_an_ipv6_session(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER_V6, 64512, 64513))
    node.advertise(route(HOST_V6, communities=(64512 << 16 | 1,)), route("2001:db8:1::/48"))

    await has_prefixes(any_router, HOST_V6, "2001:db8:1::/48")
    assert await any_router.received_route(HOST_V6) == ReceivedRoute(
        NODE_V6, (64512,), "incomplete", communities=frozenset({(64512, 1)})
    )
    node.advertise(route("2001:db8:1::/48"))
    await has_prefixes(any_router, "2001:db8:1::/48")


async def test_both_families_over_a_session_each(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513), peer(ROUTER_V6, 64512, 64513))
    node.advertise(route(HOST), route(HOST_V6))
    await has_prefixes(any_router, HOST, HOST_V6)

    node.advertise()
    await has_prefixes(any_router)


async def test_md5_over_both_families(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession(password="s3cret"))
    node.peer_with(
        *(peer(address, 64512, 64513, password="s3cret") for address in (ROUTER, ROUTER_V6))
    )
    node.advertise(route(HOST), route(HOST_V6))

    await has_prefixes(any_router, HOST, HOST_V6)


async def test_md5_needs_the_right_password(
    node: Node, any_router: Router, cable: RouterLink
) -> None:
    await any_router.start(RouterSession(password="s3cret"))
    node.peer_with(peer(ROUTER, 64512, 64513, password="wrong"))
    # The router's kernel counts the segments that it drops.
    await eventually(lambda: md5_failures(cable.router))

    assert await any_router.established_count(NODE) == 0
    assert not node.pending(SessionUp)


async def test_a_session_survives_changes_of_routes_and_of_other_peers(
    node: Node, any_router: Router
) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513), peer(ROUTER_V6, 64512, 64513))
    node.advertise(route(HOST), route(HOST_V6))
    await has_prefixes(any_router, HOST, HOST_V6)
    for address in (NODE, NODE_V6):  # either session alone brings both prefixes
        await eventually(lambda address=address: any_router.established_count(address), bool)

    for number in range(2, 6):
        node.advertise(route(f"192.0.2.{number}/32", communities=(number,)))
        await has_prefixes(any_router, f"192.0.2.{number}/32")
    node.peer_with(peer(ROUTER, 64512, 64513))
    assert await eventually(lambda: any_router.notification(NODE_V6), bool) == (6, 3)
    node.advertise(route(HOST))
    await has_prefixes(any_router, HOST)
    counts = [await any_router.established_count(address) for address in (NODE, NODE_V6)]
    assert counts == [1, 1]
    assert await any_router.notification(NODE) is None
    assert not node.pending(SessionDown)


async def test_thousands_of_routes_are_advertised_and_withdrawn(
    node: Node, any_router: Router
) -> None:
    await any_router.start(RouterSession())
    routes = [route(f"10.{n >> 8}.{n & 255}.1/32", communities=(n & 3,)) for n in range(5000)]
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(*routes)
    await has_prefixes(any_router, *(str(prefix) for prefix, _ in routes))

    node.advertise(routes[0])
    await has_prefixes(any_router, "10.0.0.1/32")
    assert await any_router.established_count(NODE) == 1


async def test_a_restarted_router_receives_every_route_again(
    node: Node, any_router: Router
) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST), route("192.0.2.2/32"))
    await has_prefixes(any_router, HOST, "192.0.2.2/32")
    await node.next_event(SessionUp)
    await any_router.restart()

    await node.next_event(SessionDown)
    await node.next_event(SessionUp)
    await has_prefixes(any_router, HOST, "192.0.2.2/32")


async def test_a_node_that_stops_sends_cease_administrative_shutdown(
    node: Node, any_router: Router
) -> None:
    await any_router.start(RouterSession())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    await learned(any_router)
    node.speaker.stop()

    assert await eventually(lambda: any_router.notification(NODE), bool) == (6, 2)
    await has_prefixes(any_router)


async def test_a_wrong_peer_asn_is_refused_and_reported(node: Node, any_router: Router) -> None:
    await any_router.start(RouterSession(asn=64514))
    node.peer_with(peer(ROUTER, 64512, 64513))

    await node.failed("unexpected peer ASN 64514, want 64513")
    assert await any_router.established_count(NODE) == 0


async def test_a_bad_peer_as_notification_of_the_router_is_reported(
    node: Node, any_router: Router
) -> None:
    await any_router.start(RouterSession(node_asn=64599))
    node.peer_with(peer(ROUTER, 64512, 64513))

    await node.failed("got BGP notification code 0x0202 (OPEN message error: bad peer AS)")
    assert await any_router.established_count(NODE) == 0
