"""A speaker that restarts, crashes or leaves, as FRR and BIRD and their kernels see it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator

import pytest
from support.bgp_process import announcing, said
from support.bgp_wire import NODE, NODE_V6, ROUTER, ROUTER_V6, Wire, eventually
from support.bird import Bird, bird
from support.frr import Frr, frr

pytestmark = pytest.mark.interop

VIP, VIP_V6 = "192.0.2.1", "2001:db8::1"
RESTARTING = {"graceful_restart": True}


@pytest.fixture
async def router(cable: Wire) -> AsyncIterator[Frr]:
    for address in (f"{VIP}/32", f"{VIP_V6}/128"):
        add_address(cable.node, address)
    async with frr(cable.router) as made:
        await made.start(CONFIG)
        yield made


def add_address(namespace: str, address: str) -> None:
    command = ["ip", "-n", namespace, "address", "add", address, "dev", "lo", "nodad"]
    subprocess.run(command, check=True, capture_output=True)


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
    """Pings through the route, and what the kernel's table lost meanwhile."""

    def __init__(self, ping: asyncio.subprocess.Process, watch: asyncio.subprocess.Process) -> None:
        self._ping = ping
        self._watch = watch
        self.lost = -1
        self.sent = 0
        self.changes = ""

    async def end(self) -> None:
        """Stop both and read what they saw."""
        self._ping.send_signal(2)
        self._watch.terminate()
        told, _ = await self._ping.communicate()
        changes, _ = await self._watch.communicate()
        counts = re.search(r"(\d+) packets transmitted, (\d+) received", told.decode())
        assert counts is not None, told
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
    """Wait until the kernel forwards to the address, or no longer."""
    family = "-6" if ":" in address else "-4"
    await eventually(
        lambda: router.in_namespace("ip", family, "route", "show", "proto", "bgp"),
        lambda text: (address in text) == wanted,
    )


async def ended(router: Frr, address: str, family: str) -> None:
    """Wait for the End-of-RIB of a session with the router."""
    await eventually(
        lambda: router.neighbor(address),
        lambda told: (
            told.get("gracefulRestartInfo", {})
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
@pytest.mark.parametrize("how", ["killed", "told to restart"])
async def test_routes_stay_while_the_speaker_restarts(
    cable: Wire, router: Frr, how: str, peer: str, neighbor: str, vip: str, family: str
) -> None:
    async with announcing(cable.node, peer, vip, peer=RESTARTING, routes_stay=True) as first:
        await ended(router, neighbor, family)
        await installed(router, vip)
        async with pinging(cable.router, vip) as stream:
            first.kill() if how == "killed" else first.terminate()
            await first.wait()
            await eventually(
                lambda: router.neighbor(neighbor), lambda told: told["bgpState"] != "Established"
            )
            async with announcing(cable.node, peer, vip, peer=RESTARTING):
                await ended(router, neighbor, family)
                path = await router.route(f"{vip}/{128 if ':' in vip else 32}", family[:4])
                assert "stale" not in path
                told = (await router.neighbor(neighbor))["gracefulRestartInfo"]
                # Without the F bit FRR takes the routes back, if only for a moment.
                assert (told["rBit"], told["nBit"], told[family]["fBit"]) == (True, True, True)
    assert stream.lost == 0
    assert stream.sent > 10
    assert "Deleted" not in stream.changes


async def test_what_is_announced_no_more_goes_after_the_restart(cable: Wire, router: Frr) -> None:
    async with announcing(cable.node, ROUTER, VIP, "192.0.2.2", peer=RESTARTING) as first:
        await ended(router, NODE, "ipv4Unicast")
        await installed(router, "192.0.2.2")
        first.kill()
        await first.wait()
    async with announcing(cable.node, ROUTER, VIP, peer=RESTARTING):
        await installed(router, "192.0.2.2", wanted=False)
        await installed(router, VIP)


async def test_a_speaker_that_does_not_know_all_routes_yet_takes_none_back(
    cable: Wire, router: Frr
) -> None:
    async with announcing(cable.node, ROUTER, VIP, "192.0.2.2", peer=RESTARTING) as first:
        await ended(router, NODE, "ipv4Unicast")
        await installed(router, "192.0.2.2")
        first.kill()
        await first.wait()
    async with announcing(cable.node, ROUTER, VIP, peer=RESTARTING, complete=False):
        await eventually(lambda: router.route(f"{VIP}/32"), lambda path: "stale" not in path)
        assert (await router.route("192.0.2.2/32"))["stale"]
        await installed(router, "192.0.2.2")


async def test_without_the_key_a_crash_takes_the_routes_along(cable: Wire, router: Frr) -> None:
    async with announcing(cable.node, ROUTER, VIP) as process:
        await installed(router, VIP)
        process.kill()
        await installed(router, VIP, wanted=False)


@pytest.fixture
async def watching(cable: Wire) -> AsyncIterator[Frr]:
    """Provide a router that watches the node by BFD as well."""
    add_address(cable.node, f"{VIP}/32")
    timers = "receive-interval 50\n  transmit-interval 50\n  detect-multiplier 3"
    async with frr(cable.router) as made:
        await made.start(
            CONFIG.replace(f" neighbor {NODE} passive", f" neighbor {NODE} bfd profile p"),
            f"bfd\n profile p\n  {timers}\n !\n!\n",
        )
        yield made


WATCHED = {**RESTARTING, "bfd_profile": "fast"}


async def watched(router: Frr) -> None:
    """Wait until BFD and the session are up; FRR begins BFD anew when the session comes up."""
    await eventually(
        lambda: router.bfd_peer(NODE),
        lambda told: told.get("status") == "up" and told["uptime"] >= 2,
    )
    await ended(router, NODE, "ipv4Unicast")
    await installed(router, VIP)


@pytest.mark.punctual
@pytest.mark.parametrize("how", ["killed", "told to restart"])
async def test_bfd_takes_no_route_of_a_speaker_that_restarts(
    cable: Wire, watching: Frr, how: str
) -> None:
    async with announcing(cable.node, ROUTER, VIP, peer=WATCHED, routes_stay=True) as first:
        await watched(watching)
        async with pinging(cable.router, VIP) as stream:
            first.kill() if how == "killed" else first.terminate()
            await first.wait()
            await eventually(
                lambda: watching.bfd_peer(NODE), lambda told: told.get("status") != "up"
            )
            async with announcing(cable.node, ROUTER, VIP, peer=WATCHED):
                await watched(watching)
    assert stream.lost == 0
    assert "Deleted" not in stream.changes


@pytest.mark.punctual
async def test_bfd_takes_the_routes_of_a_node_that_is_cut_off(cable: Wire, watching: Frr) -> None:
    async with announcing(cable.node, ROUTER, VIP, peer=WATCHED):
        await watched(watching)
        await watching.in_namespace("iptables", "-A", "INPUT", "-i", "eth0", "-j", "DROP")
        await installed(watching, VIP, wanted=False)


async def test_draining_asks_for_other_ways_then_withdraws_then_says_why(
    cable: Wire, router: Frr
) -> None:
    why = "node is cordoned"
    async with announcing(
        cable.node, ROUTER, VIP, peer=RESTARTING, why=why, drain_time=1.0
    ) as process:
        await installed(router, VIP)
        process.terminate()
        path = await eventually(lambda: router.route(f"{VIP}/32"), lambda path: "community" in path)
        assert path["community"]["string"] == "graceful-shutdown"
        assert (await said(process, "sessionDraining"))["reason"] == why
        await process.wait()
        assert process.returncode == 0
    await installed(router, VIP, wanted=False)
    told = await router.neighbor(NODE)
    assert told["lastShutdownDescription"] == why


async def test_bird_keeps_the_routes_too(cable: Wire) -> None:
    async with bird(cable.router) as router:
        await router.start(BIRD)
        async with announcing(cable.node, ROUTER, VIP, peer=RESTARTING) as first:
            await eventually(lambda: router.route(f"{VIP}/32"), bool)
            first.kill()
            await first.wait()
            await _bird_has(router, "Neighbor graceful restart active")
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


async def _bird_has(router: Bird, words: str) -> None:
    await eventually(lambda: router.protocol("node"), lambda text: words in text)
