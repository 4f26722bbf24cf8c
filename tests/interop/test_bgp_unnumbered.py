"""BGP unnumbered: a peer given by its interface alone, asserted from the router's side."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.bgp.frr import Frr
from support.bgp.node import Node, route, running_node
from support.net.router_link import RouterLink
from support.net.waiting import eventually

from metallb_py.model.peers import DynamicAsn, SessionParameters
from metallb_py.protocols.bgp.effects import ConnectFailed, SessionDown, SessionUp
from speaker.bgp.peering import ListenAt

pytestmark = pytest.mark.interop

HOST, HOST_V6 = "192.0.2.1/32", "2001:db8::1/128"


def config(*more: str) -> str:
    """Return the configuration that docs/bgp.md contains."""
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


def uplink(**more: object) -> SessionParameters:
    return SessionParameters(
        64512, 0, None, interface="eth0", dynamic_asn=DynamicAsn.EXTERNAL, **more
    )


async def test_frr_receives_both_families_over_an_unnumbered_session(
    node: Node, router: Frr
) -> None:
    node.peer_with(uplink())
    node.advertise(route(HOST), route(HOST_V6))
    await router.start(config())

    await node.next_event(SessionUp)
    for prefix, family in ((HOST, "ipv4"), (HOST_V6, "ipv6")):
        path = await eventually(
            lambda prefix=prefix, family=family: router.route(prefix, family), bool
        )
        assert all(hop["ip"].startswith("fe80::") for hop in path["nexthops"] if hop.get("used"))
    neighbor = await router.neighbor("eth0")
    assert (neighbor["bgpState"], neighbor["bgpNeighborAddr"][:6]) == ("Established", "fe80::")

    async def forwarding() -> str:
        return await router.in_namespace("ip", "route", "show", HOST)

    assert "via inet6 fe80::" in await eventually(forwarding, bool)


@pytest.mark.parametrize("password", ["", "s3cret"])
async def test_frr_connects_to_a_passive_unnumbered_peer(
    cable: RouterLink, router: Frr, password: str
) -> None:
    async with running_node(ListenAt()) as node:
        node.peer_with(uplink(passive=True, password=password))
        node.advertise(route(HOST_V6))
        await router.start(config(*[f"neighbor eth0 password {password}"] * bool(password)))

        await node.next_event(SessionUp)
        await eventually(lambda: router.route(HOST_V6, "ipv6"), bool)
        assert node.refused == []


async def test_a_router_with_a_new_link_local_address_is_found_again(
    cable: RouterLink, node: Node, router: Frr
) -> None:
    node.peer_with(uplink(password="s3cret", hold_time=3))
    await router.start(config("neighbor eth0 password s3cret", "neighbor eth0 timers 1 3"))
    before = (await node.next_peer_event(SessionUp)).router

    for command in ("flush dev eth0 scope link", "add fe80::77/64 dev eth0 nodad"):
        await router.in_namespace("ip", "-6", "address", *command.split())
    await node.next_event(SessionDown)
    after = (await node.next_peer_event(SessionUp)).router
    assert before is not None
    assert before != after == ip_address("fe80::77")


async def test_a_link_without_router_advertisements_is_reported(node: Node) -> None:
    node.peer_with(uplink())
    failed = await node.next_event(ConnectFailed)
    assert failed.error == 'interface "eth0": no router advertises itself there'
