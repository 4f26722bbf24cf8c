"""Graceful restart (RFC 4724), crash and shutdown of a speaker, seen by FRR, BIRD and kernels."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator

import pytest
from support.bgp.announcer_process import announcing, next_log_entry
from support.bgp.bird import Bird, bird
from support.bgp.frr import Frr, frr
from support.net.namespaces import add_address
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6, RouterLink
from support.net.waiting import eventually

pytestmark = pytest.mark.interop

VIP, VIP_V6 = "192.0.2.1", "2001:db8::1"
RESTARTING = {"graceful_restart": True}


@pytest.fixture
async def router(router: Frr, cable: RouterLink) -> Frr:
    for address in (f"{VIP}/32", f"{VIP_V6}/128"):
        add_address(cable.node, address, "lo")
    await router.start(CONFIG)
    return router


CONFIG = f"""
router bgp 64513
 bgp router-id 10.9.9.9
 no bgp ebgp-requires-policy
 neighbor {NODE} remote-as 64512
 neighbor {NODE} passive
 neighbor {NODE_V6} remote-as 64512
 neighbor {NODE_V6} passive
 address-family ipv6 unicast
  neighbor {NODE_V6} activate
 exit-address-family
"""


class Stream:
    """Pings through the route, and changes of the kernel's routes in that time."""

    def __init__(self, ping: asyncio.subprocess.Process, watch: asyncio.subprocess.Process) -> None:
        self._ping = ping
        self._watch = watch
        self.lost = -1
        self.sent = 0
        self.changes = ""

    async def end(self) -> None:
        """Stop both and read their results."""
        self._ping.send_signal(2)
        self._watch.terminate()
        output, _ = await self._ping.communicate()
        changes, _ = await self._watch.communicate()
        counts = re.search(r"(\d+) packets transmitted, (\d+) received", output.decode())
        assert counts is not None, output
        self.sent, self.lost = int(counts[1]), int(counts[1]) - int(counts[2])
        self.changes = changes.decode()


@contextlib.asynccontextmanager
async def pinging(namespace: str, address: str) -> AsyncIterator[Stream]:
    """Ping every 10 ms for the length of a block."""
    family = "-6" if ":" in address else "-4"
    enter = ("ip", "netns", "exec", namespace)
    ping = await asyncio.create_subprocess_exec(
        *enter, "ping", "-n", "-q", "-i", "0.01", "-W", "1", address, stdout=subprocess.PIPE
    )
    watch = await asyncio.create_subprocess_exec(
        *enter, "ip", family, "monitor", "route", stdout=subprocess.PIPE
    )
    stream = Stream(ping, watch)
    try:
        yield stream
    finally:
        await stream.end()


async def installed(router: Frr, address: str, *, wanted: bool = True) -> None:
    """Wait until the kernel has a route to the address, or has none."""
    family = "-6" if ":" in address else "-4"
    await eventually(
        lambda: router.in_namespace("ip", family, "route", "show", "proto", "bgp"),
        lambda text: (address in text) == wanted,
    )


async def end_of_rib(router: Frr, address: str, family: str) -> None:
    """Wait for the End-of-RIB of a session with the router."""
    await eventually(
        lambda: router.neighbor(address),
        lambda neighbor: (
            neighbor.get("gracefulRestartInfo", {})
            .get(family, {})
            .get("endOfRibStatus", {})
            .get("endOfRibRecv", False)
        ),
    )


@pytest.mark.parametrize(
    ("peer", "neighbor", "vip", "family"),
    [(ROUTER, NODE, VIP, "ipv4Unicast"), (ROUTER_V6, NODE_V6, VIP_V6, "ipv6Unicast")],
    ids=["IPv4", "IPv6"],
)
@pytest.mark.parametrize("how", ["killed", "terminated"])
async def test_graceful_restart_keeps_routes_while_the_speaker_restarts(
    cable: RouterLink, router: Frr, how: str, peer: str, neighbor: str, vip: str, family: str
) -> None:
    async with announcing(cable.node, peer, vip, peer=RESTARTING, graceful_restart=True) as first:
        await end_of_rib(router, neighbor, family)
        await installed(router, vip)
        async with pinging(cable.router, vip) as stream:
            first.kill() if how == "killed" else first.terminate()
            await first.wait()
            await eventually(
                lambda: router.neighbor(neighbor), lambda state: state["bgpState"] != "Established"
            )
            async with announcing(cable.node, peer, vip, peer=RESTARTING):
                await end_of_rib(router, neighbor, family)
                path = await router.route(f"{vip}/{128 if ':' in vip else 32}", family[:4])
                assert "stale" not in path
                info = (await router.neighbor(neighbor))["gracefulRestartInfo"]
                # Without the F bit FRR removes the routes, if only for a short time.
                assert (info["rBit"], info["nBit"], info[family]["fBit"]) == (True, True, True)
    assert stream.lost == 0
    assert stream.sent > 10
    assert "Deleted" not in stream.changes


async def test_graceful_restart_removes_stale_routes_afterwards(
    cable: RouterLink, router: Frr
) -> None:
    async with announcing(cable.node, ROUTER, VIP, "192.0.2.2", peer=RESTARTING) as first:
        await end_of_rib(router, NODE, "ipv4Unicast")
        await installed(router, "192.0.2.2")
        first.kill()
        await first.wait()
    async with announcing(cable.node, ROUTER, VIP, peer=RESTARTING):
        await installed(router, "192.0.2.2", wanted=False)
        await installed(router, VIP)


async def test_stale_routes_stay_until_end_of_rib(cable: RouterLink, router: Frr) -> None:
    async with announcing(cable.node, ROUTER, VIP, "192.0.2.2", peer=RESTARTING) as first:
        await end_of_rib(router, NODE, "ipv4Unicast")
        await installed(router, "192.0.2.2")
        first.kill()
        await first.wait()
    async with announcing(cable.node, ROUTER, VIP, peer=RESTARTING, initial_sync_done=False):
        await eventually(lambda: router.route(f"{VIP}/32"), lambda path: "stale" not in path)
        assert (await router.route("192.0.2.2/32"))["stale"]
        await installed(router, "192.0.2.2")


async def test_without_graceful_restart_a_crash_removes_the_routes(
    cable: RouterLink, router: Frr
) -> None:
    async with announcing(cable.node, ROUTER, VIP) as process:
        await installed(router, VIP)
        process.kill()
        await installed(router, VIP, wanted=False)


@pytest.fixture
async def bfd_router(cable: RouterLink) -> AsyncIterator[Frr]:
    """Provide a router that has a BFD session with the node as well."""
    add_address(cable.node, f"{VIP}/32", "lo")
    timers = "receive-interval 50\n  transmit-interval 50\n  detect-multiplier 3"
    async with frr(cable.router) as made:
        await made.start(
            CONFIG.replace(f" neighbor {NODE} passive", f" neighbor {NODE} bfd profile p"),
            f"bfd\n profile p\n  {timers}\n !\n!\n",
        )
        yield made


WITH_BFD = {**RESTARTING, "bfd_profile": "fast"}


async def bfd_up(router: Frr) -> None:
    """Wait until BFD and the session are up; FRR starts BFD again when the session comes up."""
    await eventually(
        lambda: router.bfd_peer(NODE),
        lambda session: session.get("status") == "up" and session["uptime"] >= 2,
    )
    await end_of_rib(router, NODE, "ipv4Unicast")
    await installed(router, VIP)


@pytest.mark.punctual
@pytest.mark.parametrize("how", ["killed", "terminated"])
async def test_bfd_removes_no_route_during_a_graceful_restart(
    cable: RouterLink, bfd_router: Frr, how: str
) -> None:
    async with announcing(cable.node, ROUTER, VIP, peer=WITH_BFD, graceful_restart=True) as first:
        await bfd_up(bfd_router)
        async with pinging(cable.router, VIP) as stream:
            first.kill() if how == "killed" else first.terminate()
            await first.wait()
            await eventually(
                lambda: bfd_router.bfd_peer(NODE), lambda session: session.get("status") != "up"
            )
            async with announcing(cable.node, ROUTER, VIP, peer=WITH_BFD):
                await bfd_up(bfd_router)
    assert stream.lost == 0
    assert "Deleted" not in stream.changes


@pytest.mark.punctual
async def test_bfd_removes_the_routes_of_an_unreachable_node(
    cable: RouterLink, bfd_router: Frr
) -> None:
    async with announcing(cable.node, ROUTER, VIP, peer=WITH_BFD):
        await bfd_up(bfd_router)
        await bfd_router.in_namespace("iptables", "-A", "INPUT", "-i", "eth0", "-j", "DROP")
        await installed(bfd_router, VIP, wanted=False)


async def test_draining_sends_graceful_shutdown_then_cease_with_the_reason(
    cable: RouterLink, router: Frr
) -> None:
    why = "node is cordoned"
    async with announcing(
        cable.node, ROUTER, VIP, peer=RESTARTING, why=why, drain_time=1.0
    ) as process:
        await installed(router, VIP)
        process.terminate()
        path = await eventually(lambda: router.route(f"{VIP}/32"), lambda path: "community" in path)
        assert path["community"]["string"] == "graceful-shutdown"
        assert (await next_log_entry(process, "sessionDraining"))["reason"] == why
        await process.wait()
        assert process.returncode == 0
    await installed(router, VIP, wanted=False)
    neighbor = await router.neighbor(NODE)
    assert neighbor["lastShutdownDescription"] == why


async def test_bird_keeps_routes_during_a_graceful_restart(cable: RouterLink) -> None:
    async with bird(cable.router) as router:
        await router.start(BIRD)
        async with announcing(cable.node, ROUTER, VIP, peer=RESTARTING) as first:
            await eventually(lambda: router.route(f"{VIP}/32"), bool)
            first.kill()
            await first.wait()
            await _bird_shows(router, "Neighbor graceful restart active")
        assert await router.route(f"{VIP}/32")
        async with announcing(cable.node, ROUTER, "192.0.2.2", peer=RESTARTING):
            await eventually(router.prefixes, lambda found: found == {"192.0.2.2/32"})


BIRD = f"""
router id 10.9.9.9;
protocol device {{}}
protocol bgp node {{
    local {ROUTER} as 64513;
    neighbor {NODE} as 64512;
    passive;
    graceful restart on;
    ipv4 {{ import all; export none; }};
}}
"""


async def _bird_shows(router: Bird, words: str) -> None:
    await eventually(lambda: router.protocol("node"), lambda text: words in text)
