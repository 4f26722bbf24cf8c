"""Our speaker against FRR, asserted from FRR's side."""

from __future__ import annotations

import time
from ipaddress import ip_address

import pytest
from support.bgp.announcer_process import announcing
from support.bgp.frr import Frr
from support.bgp.node import Node, peer, route
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6, RouterLink
from support.net.waiting import eventually

from metallb_py.protocols.bgp.effects import (
    NotificationReceived,
    SessionDown,
    SessionUp,
    UpdateReceived,
)
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts

pytestmark = pytest.mark.interop

HOST = "192.0.2.1/32"


def config(*more: str, local: int = 64513, remote: int = 64512) -> str:
    """Configure bgpd to wait for the node, over either family."""
    lines = [
        f"router bgp {local}",
        " bgp router-id 10.9.9.9",
        " no bgp ebgp-requires-policy",
        " no bgp network import-check",
        f" neighbor {NODE} remote-as {remote}",
        f" neighbor {NODE} passive",
        f" neighbor {NODE_V6} remote-as {remote}",
        f" neighbor {NODE_V6} passive",
        *(f" {line}" for line in more),
        f" address-family ipv6 unicast\n  neighbor {NODE_V6} activate\n exit-address-family",
    ]
    return "\n".join(lines) + "\n"


async def learned(router: Frr, prefix: str = HOST, family: str = "ipv4") -> dict:
    return await eventually(lambda: router.route(prefix, family), bool)


async def withdrawn(router: Frr, prefix: str = HOST) -> None:
    await eventually(lambda: router.route(prefix), lambda path: not path)


async def test_ebgp_route_reaches_the_kernel(node: Node, router: Frr) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    await learned(router)

    kernel = await eventually(lambda: router.in_namespace("ip", "route", "show", HOST), bool)
    assert f"via {NODE} dev eth0 proto bgp" in kernel


async def test_a_router_without_capabilities_gets_two_octet_as_numbers(
    node: Node, router: Frr
) -> None:
    await router.start(config(f"neighbor {NODE} dont-capability-negotiate"))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))

    assert (await learned(router))["aspath"]["string"] == "64512"


async def test_communities_are_received_and_updated(node: Node, router: Frr) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST, communities=(64512 << 16 | 1, 65535 << 16 | 0xFF01)))
    path = await learned(router)
    assert path["community"]["string"] == "64512:1 no-export"

    node.advertise(route(HOST, communities=(64512 << 16 | 2,)))
    await eventually(
        lambda: router.route(HOST), lambda path: path["community"]["string"] == "64512:2"
    )


async def test_communities_in_an_attribute_of_extended_length(node: Node, router: Frr) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST, communities=tuple(64512 << 16 | n for n in range(100))))

    assert len((await learned(router))["community"]["list"]) == 100


async def test_both_families_over_an_ipv6_session(node: Node, router: Frr) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER_V6, 64512, 64513))
    node.advertise(route("2001:db8::1/128"), route(HOST), route("2001:db8:1::/48"))

    path = await learned(router, "2001:db8::1/128", "ipv6")
    assert path["nexthops"][0]["ip"] == NODE_V6
    assert await router.prefixes("ipv6") == {"2001:db8::1/128", "2001:db8:1::/48"}
    beside = await learned(router)
    assert beside["nexthops"][0]["ip"] == NODE
    assert (await router.neighbor(NODE_V6))["remoteRouterId"] == NODE
    counts = await node.next_event(PrefixCounts)
    while counts.announced == 0:
        counts = await node.next_event(PrefixCounts)
    assert (counts.announced, counts.desired, counts.not_carried) == (3, 3, 0)

    node.advertise(route("2001:db8:1::/48"))
    await eventually(
        lambda: router.prefixes("ipv6"), lambda prefixes: prefixes == {"2001:db8:1::/48"}
    )
    await withdrawn(router)


async def test_a_family_that_the_router_does_not_negotiate_is_not_carried(
    node: Node, router: Frr
) -> None:
    await router.start(
        config(
            f"address-family ipv4 unicast\n no neighbor {NODE_V6} activate\n exit-address-family"
        )
    )
    node.peer_with(peer(ROUTER_V6, 64512, 64513))
    node.advertise(route("2001:db8::1/128"), route(HOST))

    await learned(router, "2001:db8::1/128", "ipv6")
    counts = await node.next_event(PrefixCounts)
    while counts.announced == 0:
        counts = await node.next_event(PrefixCounts)
    assert (counts.announced, counts.desired, counts.not_carried) == (1, 2, 1)
    assert await router.prefixes("ipv4") == set()


async def test_thousands_of_routes_are_received_packed_and_complete(
    node: Node, router: Frr
) -> None:
    await router.start(config())
    routes = [route(f"10.{n >> 8}.{n & 255}.1/32", communities=(n & 3,)) for n in range(5000)]
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(*routes)
    wanted = {str(prefix) for prefix, _ in routes}

    await eventually(router.prefixes, lambda prefixes: prefixes == wanted)
    received = (await router.neighbor(NODE))["messageStats"]["updatesRecv"]
    assert received <= 12

    node.advertise(*routes[:1])
    await eventually(router.prefixes, lambda prefixes: prefixes == {"10.0.0.1/32"})


async def test_an_administrative_reset_by_the_router_is_reported(node: Node, router: Frr) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    await learned(router)
    await router.command("clear bgp *")

    assert "administrative reset" in (await node.next_event(NotificationReceived)).text
    await learned(router)


async def test_a_route_refresh_request_is_answered(node: Node, router: Frr) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    await learned(router)
    before = (await router.neighbor(NODE))["messageStats"]
    await router.command(f"clear bgp {NODE} soft in")

    stats = await eventually(
        lambda: router.neighbor(NODE),
        lambda neighbor: neighbor["messageStats"]["updatesRecv"] > before["updatesRecv"],
    )
    assert stats["messageStats"]["routeRefreshSent"] > before["routeRefreshSent"]
    assert stats["connectionsDropped"] == 0


async def test_hold_timer_expiry_closes_the_session_with_a_frozen_router(
    node: Node, router: Frr
) -> None:
    await router.start(config())
    node.peer_with(peer(ROUTER, 64512, 64513, hold_time=3))
    node.advertise(route(HOST))
    await learned(router)
    await node.next_event(SessionUp)
    router.freeze_bgpd()
    before = time.monotonic()

    assert "hold timer expired" in (await node.next_event(SessionDown)).reason
    assert 1.9 < time.monotonic() - before < 20.0
    router.thaw_bgpd()
    await node.next_event(SessionUp)
    await learned(router)


async def test_a_hold_time_of_zero_is_negotiated(node: Node, router: Frr) -> None:
    await router.start(config(f"neighbor {NODE} timers 0 0"))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))

    assert (await node.next_event(SessionUp)).terms.hold_time == 0
    await learned(router)
    assert (await router.neighbor(NODE))["bgpTimerHoldTimeMsecs"] == 0


async def test_updates_of_the_router_are_counted_and_not_used(node: Node, router: Frr) -> None:
    await router.start(config("network 203.0.113.0/24"))
    node.advertise(route(HOST))
    node.peer_with(peer(ROUTER, 64512, 64513))

    assert (await node.next_event(UpdateReceived)).update.malformed == ""
    await learned(router)
    neighbor = await router.neighbor(NODE)
    assert neighbor["addressFamilyInfo"]["ipv4Unicast"]["sentPrefixCounter"] >= 1
    assert neighbor["connectionsDropped"] == 0


async def test_routes_of_a_killed_node_are_removed_and_learned_again(
    cable: RouterLink, router: Frr
) -> None:
    await router.start(config())
    for _ in range(2):
        async with announcing(cable.node, ROUTER, HOST.removesuffix("/32")) as process:
            await learned(router)
            process.kill()
            await process.wait()

            await withdrawn(router)


async def test_many_updates_of_the_router_have_no_effect(node: Node, router: Frr) -> None:
    await router.start(config(*(f"network 198.51.{n}.0/24" for n in range(100))))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST))
    await learned(router)

    neighbor = await eventually(
        lambda: router.neighbor(NODE), lambda it: it["messageStats"]["updatesSent"] > 1
    )
    assert neighbor["bgpState"] == "Established"
    assert not node.pending(SessionDown)


async def test_the_source_address_is_the_next_hop(node: Node, router: Frr) -> None:
    source = ip_address("10.77.0.3")
    await router.start(config(f"neighbor {source} remote-as 64512", f"neighbor {source} passive"))
    node.peer_with(peer(ROUTER, 64512, 64513, source_address=source))
    node.advertise(route(HOST))

    assert (await learned(router))["nexthops"][0]["ip"] == str(source)
