"""Incoming connections, and collisions (RFC 4271 6.8), asserted from the router's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.bgp.bird import bird
from support.bgp.frr import Frr
from support.bgp.node import Node, peer, route, running_node
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6, RouterLink
from support.net.waiting import eventually

from metallb_py.protocols.bgp.effects import SessionDown, SessionUp
from speaker.bgp.peering import ListenAt

pytestmark = pytest.mark.interop

HOST = "192.0.2.1/32"


@pytest.fixture
async def listener(cable: RouterLink) -> AsyncIterator[Node]:
    async with running_node(ListenAt()) as made:
        yield made


def config(*more: str, router_id: str = "10.9.9.9") -> str:
    """Configure bgpd to connect to the node at once, and to retry every second."""
    lines = [
        "router bgp 64513",
        f" bgp router-id {router_id}",
        " no bgp ebgp-requires-policy",
        *(
            f" neighbor {address} {words}"
            for address in (NODE, NODE_V6)
            for words in ("remote-as 64512", "timers connect 1")
        ),
        *(f" {line}" for line in more),
        f" address-family ipv6 unicast\n  neighbor {NODE_V6} activate\n exit-address-family",
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("address", [ROUTER, ROUTER_V6])
async def test_frr_connects_to_a_passive_peer(listener: Node, router: Frr, address: str) -> None:
    listener.peer_with(peer(address, 64512, 64513, passive=True))
    listener.advertise(route(HOST), route("2001:db8::1/128"))
    await router.start(config())

    await listener.next_event(SessionUp)
    family, prefix = ("ipv4", HOST) if address == ROUTER else ("ipv6", "2001:db8::1/128")
    await eventually(lambda: router.route(prefix, family), bool)
    neighbor = await router.neighbor(NODE if address == ROUTER else NODE_V6)
    assert (neighbor["portForeign"], neighbor["portLocal"] != 179) == (179, True)


async def test_bird_connects_to_a_passive_peer(listener: Node, cable: RouterLink) -> None:
    listener.peer_with(peer(ROUTER, 64512, 64513, passive=True))
    listener.advertise(route(HOST))
    async with bird(cable.router) as router:
        await router.start(
            f"router id 10.9.9.9;\nprotocol device {{}}\nprotocol bgp node {{\n"
            f"local {ROUTER} as 64513; neighbor {NODE} as 64512; connect delay time 1;\n"
            f"ipv4 {{ import all; export none; }};\n}}\n"
        )
        await eventually(lambda: router.route(HOST), bool)


async def test_a_passive_session_is_established_again_after_a_router_restart(
    listener: Node, router: Frr
) -> None:
    listener.peer_with(peer(ROUTER, 64512, 64513, passive=True))
    listener.advertise(route(HOST))
    await router.start(config())
    await listener.next_event(SessionUp)
    await router.restart_bgpd()

    await listener.next_event(SessionDown)
    await listener.next_event(SessionUp)
    await eventually(lambda: router.route(HOST), bool)


@pytest.mark.parametrize("router_id", ["1.1.1.1", "250.1.1.1"])
@pytest.mark.parametrize("frozen", ["router", "none"])
async def test_connection_collision_leaves_one_connection(
    listener: Node, router: Frr, router_id: str, frozen: str
) -> None:
    """FRR's SYN is delayed, ours is not; FRR handles both connections when both are established."""
    hold = ["OUTPUT", "-p", "tcp", "--dport", "179", "--syn", "-j", "DROP"]
    await router.in_namespace("iptables", "-A", *hold)
    await router.start(config(router_id=router_id))
    await sockets(router, "syn-sent", 1)
    if frozen == "router":
        router.freeze_bgpd()
    listener.advertise(route(HOST))
    listener.peer_with(peer(ROUTER, 64512, 64513))
    await sockets(router, "established", 1)
    await router.in_namespace("iptables", "-D", *hold)
    if frozen == "router":
        await sockets(router, "established", 2)
        router.thaw_bgpd()

    await listener.next_event(SessionUp)
    await sockets(router, "established", 1)
    await eventually(lambda: router.route(HOST), bool)
    await eventually(
        lambda: router.neighbor(NODE), lambda neighbor: neighbor["bgpState"] == "Established"
    )
    # An FRR that resumes with two connections may close the right one, too, and accept another.
    # It sends nothing then: a NOTIFICATION would mean that the two sides chose differently.
    downs = [down.reason for down in listener.pending(SessionDown)]
    assert downs in ([], ["connection closed by peer"], ["connection reset by peer"])


async def sockets(router: Frr, state: str, count: int) -> None:
    """Wait until the router's kernel has this number of connections with the node."""

    async def query() -> list[str]:
        output = await router.in_namespace("ss", "-Htn", "state", state, "dst", NODE)
        return output.splitlines()

    await eventually(query, lambda lines: len(lines) == count)


@pytest.mark.parametrize("address", [ROUTER, ROUTER_V6])
async def test_md5_on_an_incoming_connection(listener: Node, router: Frr, address: str) -> None:
    ours = NODE if address == ROUTER else NODE_V6
    listener.peer_with(peer(address, 64512, 64513, passive=True, password="s3cret"))
    await router.start(config(f"neighbor {ours} password s3cret"))
    await listener.next_event(SessionUp)


async def test_an_unknown_peer_is_rejected_and_reported(listener: Node, router: Frr) -> None:
    listener.peer_with(peer("10.77.0.99", 64512, 64513, passive=True))
    await router.start(config())

    async def rejections() -> list[str]:
        return [str(event) for event in listener.refused]

    rejected = await eventually(rejections, lambda events: len(events) == 2)
    assert any(ROUTER in event for event in rejected)
    assert (await router.neighbor(NODE))["bgpState"] != "Established"


@pytest.mark.parametrize("address", [ROUTER, ROUTER_V6])
@pytest.mark.parametrize("passive", [False, True])
async def test_ttl_security_with_a_neighbor(
    listener: Node, router: Frr, address: str, *, passive: bool
) -> None:
    ours = NODE if address == ROUTER else NODE_V6
    listener.peer_with(peer(address, 64512, 64513, ttl_security=1, passive=passive))
    await router.start(config(f"neighbor {ours} ttl-security hops 1"))
    await listener.next_event(SessionUp)
    assert (await router.neighbor(ours))["externalBgpNbrMaxHopsAway"] == 1


async def test_ttl_security_on_the_router_alone_drops_our_packets(
    listener: Node, router: Frr
) -> None:
    listener.peer_with(peer(ROUTER, 64512, 64513, passive=True))
    await router.start(config(f"neighbor {NODE} ttl-security hops 1"))
    counted = "cat /proc/net/netstat"
    await eventually(
        lambda: router.in_namespace(*counted.split()),
        lambda text: _minttl_drops(text) > 2,
    )
    assert (await router.neighbor(NODE))["bgpState"] != "Established"


def _minttl_drops(netstat: str) -> int:
    """Return the kernel's count of segments with a TTL below the minimum."""
    lines = [line.split() for line in netstat.splitlines() if line.startswith("TcpExt:")]
    return int(dict(zip(lines[0], lines[1], strict=True))["TCPMinTTLDrop"])


async def test_a_link_local_peer(listener: Node, router: Frr, cable: RouterLink) -> None:
    theirs, ours = await _link_local(cable.router), await _link_local(cable.node)
    listener.peer_with(peer(theirs, 64512, 64513, interface="eth0"))
    listener.advertise(route("2001:db8::1/128"))
    await router.start(
        config(
            f"neighbor {ours} remote-as 64512",
            f"neighbor {ours} interface eth0",
            f"neighbor {ours} passive",
            f"address-family ipv6 unicast\n  neighbor {ours} activate\n exit-address-family",
        )
    )
    await listener.next_event(SessionUp)
    path = await eventually(lambda: router.route("2001:db8::1/128", "ipv6"), bool)
    assert ours in {hop["ip"] for hop in path["nexthops"]}


async def _link_local(namespace: str) -> str:
    async def query() -> str:
        process = await asyncio.create_subprocess_exec(
            "ip", "-n", namespace, "-o", "-6", "address", "show", "dev", "eth0", "scope", "link",
            "-tentative", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        return output.decode()

    text = await eventually(query, lambda text: "inet6" in text)
    return text.split("inet6 ")[1].split("/")[0]
