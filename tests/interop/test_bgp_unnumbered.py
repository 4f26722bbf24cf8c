"""A router that is known by its link alone, asserted from the router's side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.bgp_node import Node, route
from support.bgp_wire import Wire, eventually
from support.frr import Frr, frr

from metallb_py.config.model import DynamicAsn
from speaker.bgp.events import SessionUp
from speaker.bgp.peering import PeerSession

pytestmark = pytest.mark.interop

HOST, HOST_V6 = "192.0.2.1/32", "2001:db8::1/128"


def config(*more: str) -> str:
    """Configure as docs/bgp.md has it."""
    lines = [
        "interface eth0",
        " ipv6 nd ra-interval 5",
        " no ipv6 nd suppress-ra",
        "router bgp 64513",
        " bgp router-id 10.9.9.9",
        " no bgp ebgp-requires-policy",
        " neighbor eth0 interface remote-as external",
        " neighbor eth0 timers connect 1",
        *(f" {line}" for line in more),
        " address-family ipv4 unicast",
        "  neighbor eth0 activate",
        " exit-address-family",
        " address-family ipv6 unicast",
        "  neighbor eth0 activate",
        " exit-address-family",
    ]
    return "\n".join(lines) + "\n"


def uplink(**more: object) -> PeerSession:
    return PeerSession(64512, 0, None, interface="eth0", dynamic_asn=DynamicAsn.EXTERNAL, **more)


@pytest.fixture
async def router(cable: Wire) -> AsyncIterator[Frr]:
    async with frr(cable.router) as made:
        yield made


async def test_frr_has_routes_of_both_families(node: Node, router: Frr) -> None:
    node.peer_with(uplink())
    node.advertise(route(HOST), route(HOST_V6))
    await router.start(config())

    await node.saw(SessionUp, within=20.0)
    for prefix, family in ((HOST, "ipv4"), (HOST_V6, "ipv6")):
        path = await eventually(
            lambda prefix=prefix, family=family: router.route(prefix, family), bool
        )
        assert all(hop["ip"].startswith("fe80::") for hop in path["nexthops"] if hop.get("used"))
    told = await router.neighbor("eth0")
    assert (told["bgpState"], told["bgpNeighborAddr"][:6]) == ("Established", "fe80::")

    async def forwarding() -> str:
        return await router.in_namespace("ip", "route", "show", HOST)

    assert "via inet6 fe80::" in await eventually(forwarding, bool)
