"""Link-local sessions, link bandwidth, extended messages, route refresh, with FRR and BIRD."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from support.bgp.bird import Bird, bird
from support.bgp.frr import Frr, frr
from support.bgp.node import Node, peer, route
from support.net.router_link import NODE, NODE_V6, ROUTER, RouterLink
from support.net.waiting import eventually

from metallb_py.protocols.bgp.effects import SessionUp
from metallb_py.protocols.bgp.negotiation import describe

pytestmark = pytest.mark.interop

HOST = "192.0.2.1/32"
HOST_V6 = "2001:db8::1/128"
WEIGHED = route(HOST, weight=2)


@pytest.fixture
async def frr_router(cable: RouterLink) -> AsyncIterator[Frr]:
    async with frr(cable.router) as made:
        yield made


@pytest.fixture
async def bird_router(cable: RouterLink) -> AsyncIterator[Bird]:
    async with bird(cable.router) as made:
        yield made


def frr_config(neighbor: str, *more: str, remote: int = 64512) -> str:
    """Configure bgpd to wait for one neighbor with both families; ``more`` are its options."""
    lines = [
        "router bgp 64513",
        " bgp router-id 10.9.9.9",
        " no bgp ebgp-requires-policy",
        f" neighbor {neighbor} remote-as {remote}",
        f" neighbor {neighbor} passive",
        *(f" neighbor {neighbor} {words}" for words in more),
    ]
    for family in ("ipv4", "ipv6"):
        lines += [
            f" address-family {family} unicast",
            f"  neighbor {neighbor} activate",
            " exit-address-family",
        ]
    return "\n".join(lines) + "\n"


def bird_config(local: str, neighbor: str, v4: str = "", v6: str = "") -> str:
    """Configure BIRD in the same way; ``v4`` and ``v6`` are options of the channels."""
    return f"""
router id 10.9.9.9;
protocol device {{}}
protocol bgp node {{
    local {local} as 64513;
    neighbor {neighbor} as 64512;
    passive;
    enable extended messages;
    ipv4 {{ import all; export none; {v4} }};
    ipv6 {{ import all; export none; {v6} }};
}}
"""


def addresses(namespace: str, *which: str) -> list[str]:
    """Return the IPv6 addresses of a namespace's interface, one line each."""
    shown = subprocess.run(
        ["ip", "-n", namespace, "-6", "-o", "address", "show", "dev", "eth0", *which],
        check=True,
        capture_output=True,
        text=True,
    )
    return shown.stdout.splitlines()


def leave_link_local(namespace: str) -> None:
    """Remove every address that is not link-local."""
    subprocess.run(
        ["ip", "-n", namespace, "address", "flush", "dev", "eth0", "scope", "global"], check=True
    )


async def settled_links(cable: RouterLink) -> tuple[str, str]:
    """Return both ends' link-local addresses, after duplicate address detection."""
    ends = (cable.node, cable.router)

    async def tentative() -> list[str]:
        return [line for end in ends for line in addresses(end, "tentative")]

    await eventually(tentative, lambda lines: not lines)
    node, router = (addresses(end, "scope", "link")[0].split()[3] for end in ends)
    return node.partition("/")[0], router.partition("/")[0]


async def hops(router: Frr, prefix: str, family: str) -> set[str]:
    path = await eventually(lambda: router.route(prefix, family), bool)
    return {hop["ip"] for hop in path["nexthops"]}


async def check_withdrawal(node: Node, router: Frr | Bird) -> None:
    """Check that both families are withdrawn when nothing is advertised any more."""
    node.advertise()
    if isinstance(router, Frr):
        await eventually(lambda: router.prefixes("ipv4"), lambda prefixes: not prefixes)
        await eventually(lambda: router.prefixes("ipv6"), lambda prefixes: not prefixes)
    else:
        await eventually(router.prefixes, lambda prefixes: not prefixes)


# FRR


@pytest.mark.parametrize("addressed", [True, False])
async def test_frr_receives_both_families_over_a_link_local_session(
    cable: RouterLink, node: Node, frr_router: Frr, addressed: bool
) -> None:
    ours, theirs = await settled_links(cable)
    if not addressed:
        leave_link_local(cable.node)
    await frr_router.start(frr_config(ours, "interface eth0", "capability extended-nexthop"))
    node.peer_with(peer(theirs, 64512, 64513, interface="eth0"))
    node.advertise(route(HOST), route(HOST_V6))

    expected = {NODE_V6, ours} if addressed else {ours}
    assert await hops(frr_router, HOST, "ipv4") == expected
    assert await hops(frr_router, HOST_V6, "ipv6") == expected
    installed = await eventually(
        lambda: frr_router.in_namespace("ip", "route", "show", HOST.partition("/")[0]), bool
    )
    assert f"via inet6 {ours} dev eth0" in installed
    await check_withdrawal(node, frr_router)


async def test_frr_receives_the_link_bandwidth(node: Node, frr_router: Frr) -> None:
    await frr_router.start(frr_config(NODE))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(WEIGHED)

    path = await eventually(lambda: frr_router.route(HOST), bool)
    assert path["extendedCommunity"]["string"] == "LB:64512:250000000 (2.000 Gbps)"


async def test_frr_requests_a_route_refresh_of_one_family(node: Node, frr_router: Frr) -> None:
    await frr_router.start(frr_config(NODE))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(route(HOST), route(HOST_V6))
    await hops(frr_router, HOST_V6, "ipv6")
    before = (await frr_router.neighbor(NODE))["messageStats"]

    await frr_router.command(f"clear bgp ipv6 unicast {NODE} in")

    def answered(neighbor: dict) -> bool:
        now = neighbor["messageStats"]
        return now["routeRefreshRecv"] == before["routeRefreshRecv"] + 2  # BoRR and EoRR (RFC 7313)

    after = await eventually(lambda: frr_router.neighbor(NODE), answered)
    assert after["messageStats"]["updatesRecv"] == before["updatesRecv"] + 1
    assert after["bgpState"] == "Established"


# BIRD


@pytest.mark.parametrize("addressed", [True, False])
async def test_bird_receives_both_families_over_a_link_local_session(
    cable: RouterLink, node: Node, bird_router: Bird, addressed: bool
) -> None:
    ours, theirs = await settled_links(cable)
    if not addressed:
        leave_link_local(cable.node)
    await bird_router.start(
        bird_config(f"{theirs}%eth0", f"{ours}%eth0", v4="extended next hop on;")
    )
    node.peer_with(peer(theirs, 64512, 64513, interface="eth0"))
    node.advertise(route(HOST), route(HOST_V6))

    for prefix in (HOST, HOST_V6):
        path = await eventually(lambda prefix=prefix: bird_router.route(prefix), bool)
        found = {ip_address(text) for text in path["next_hop"].split()}
        assert ip_address(ours) in found
        assert (ip_address(NODE_V6) in found) is addressed
    await check_withdrawal(node, bird_router)


async def test_bird_receives_the_link_bandwidth(node: Node, bird_router: Bird) -> None:
    await bird_router.start(bird_config(ROUTER, NODE))
    node.peer_with(peer(ROUTER, 64512, 64513))
    node.advertise(WEIGHED)

    path = await eventually(lambda: bird_router.route(HOST), bool)
    assert path["ext_community"] == "(unknown 0x4004, 64512, 1299082024)"  # 250e6 as a float


async def test_bird_accepts_extended_messages(node: Node, bird_router: Bird) -> None:
    await bird_router.start(bird_config(ROUTER, NODE))
    node.peer_with(peer(ROUTER, 64512, 64513))
    many = [route(f"10.{n >> 8}.{n & 255}.1/32") for n in range(4000)]
    node.advertise(*many)

    wanted = {str(prefix) for prefix, _ in many}
    await eventually(bird_router.prefixes, lambda prefixes: prefixes == wanted)
    assert "up to 65535 bytes" in describe((await node.next_event(SessionUp)).terms)
