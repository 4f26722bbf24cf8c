"""Recipes in docs/ for a node with a BGP daemon of its own, used verbatim.

Asserted from the router's side: the routes to the node in its kernel. The node has a route of its
own daemon and one of the speaker, which must not interfere with each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from support.bgp.bird import Bird, bird
from support.bgp.frr import Frr, frr
from support.net.background import while_running
from support.net.router_link import NODE, NODE_SECOND, RouterLink
from support.net.waiting import eventually

from metallb_py.config.compile.read_config import read_config
from metallb_py.runtime.log import Logger
from speaker.announcers.bgp import BgpAnnouncer, bgp_announcer
from speaker.decision import Announcement
from speaker.metrics import SpeakerMetrics

pytestmark = pytest.mark.interop

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
SERVICE, PODS = "203.0.113.7", "10.244.1.0/24"
LABELS = {"kubernetes.io/hostname": "node1"}


def text(name: str) -> str:
    """Return a file of a recipe."""
    return (RECIPES / name).read_text()


@contextlib.asynccontextmanager
async def speaker(
    recipe: str, address: str = "", endpoints: int | None = None
) -> AsyncIterator[BgpAnnouncer]:
    """Run the speaker with a recipe's configuration; it announces one service.

    With an ``address`` it is that of another node, in the same namespace.
    """
    config = read_config(yaml.safe_load(text(f"{recipe}/speaker.yaml"))["data"]["config"])
    if address:
        source = ip_address(address)
        peers = tuple(
            replace(peer, session=replace(peer.session, source_address=source))
            for peer in config.peers
        )
        config = replace(config, peers=peers)
    (pool,) = config.pools
    announcer = bgp_announcer(address or "node1", Logger(), SpeakerMetrics(), drain_time=0)
    announcer.configure(config, LABELS)
    announcer.announce("default/web", Announcement((ip_address(SERVICE),), pool, endpoints))
    async with while_running(announcer.run()):
        yield announcer


async def kernel(namespace: str) -> dict[str, str]:
    """Return the gateway of every route in a namespace's kernel that has one."""
    process = await asyncio.create_subprocess_exec(
        "ip", "-n", namespace, "route", "show", stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    found = [line.split() for line in output.decode().splitlines()]
    return {words[0]: words[words.index("via") + 1] for words in found if "via" in words}


async def has_both(cable: RouterLink, service_by: str) -> None:
    """Wait until the router has both routes to the node."""
    wanted = {SERVICE: service_by, PODS: NODE}
    await eventually(lambda: kernel(cable.router), lambda found: found == wanted, 20)


async def check_own_route_stays(cable: RouterLink, announcer: BgpAnnouncer) -> None:
    """Withdraw the service, and check that the node's own route stays."""
    announcer.withdraw("default/web", handed_over=False)
    await eventually(lambda: kernel(cable.router), lambda found: found == {PODS: NODE})


@contextlib.asynccontextmanager
async def daemons(cable: RouterLink) -> AsyncIterator[tuple[Frr, Frr, Bird, Bird]]:
    """Provide an FRR and a BIRD of the node's and of the router's, none of them started."""
    async with (
        frr(cable.node) as own_frr,
        frr(cable.router) as router_frr,
        bird(cable.node) as own_bird,
        bird(cable.router) as router_bird,
    ):
        yield own_frr, router_frr, own_bird, router_bird


async def test_through_the_nodes_own_frr(cable: RouterLink) -> None:
    async with daemons(cable) as (own, router, _, _), speaker("loopback-frr") as announcer:
        await own.start(text("loopback-frr/node-frr.conf"))
        await router.start(text("loopback-frr/router-frr.conf"))
        await has_both(cable, NODE)

        path = await router.route(f"{SERVICE}/32")
        assert path["community"]["string"] == "64512:100"
        assert path["aspath"]["string"] == "64512"
        assert SERVICE not in await kernel(cable.node)
        await check_own_route_stays(cable, announcer)


async def test_through_the_nodes_own_bird(cable: RouterLink) -> None:
    async with daemons(cable) as (_, _, own, router), speaker("loopback-bird") as announcer:
        await own.start(text("loopback-bird/node-bird.conf"))
        await router.start(text("loopback-bird/router-bird.conf"))
        await has_both(cable, NODE)

        path = await router.route(f"{SERVICE}/32")
        assert path["community"] == "(64514,100)"
        assert path["as_path"] == "64514"
        await check_own_route_stays(cable, announcer)


@pytest.mark.parametrize("daemon", ["frr", "bird"])
async def test_beside_the_nodes_own_daemon(cable: RouterLink, daemon: str) -> None:
    recipe = "source-address"
    async with daemons(cable) as (own_frr, router, own_bird, _), speaker(recipe) as announcer:
        own = own_frr if daemon == "frr" else own_bird
        await own.start(text(f"{recipe}/node-{daemon}.conf"))
        await router.start(text(f"{recipe}/router-frr.conf"))
        await has_both(cable, NODE_SECOND)

        assert (await router.route(f"{SERVICE}/32"))["aspath"]["string"] == "64514"
        await check_own_route_stays(cable, announcer)


async def weights(namespace: str) -> dict[str, int]:
    """Return the weight of each next hop that a namespace's kernel has for the service."""
    process = await asyncio.create_subprocess_exec(
        "ip", "-n", namespace, "-json", "route", "show", SERVICE, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    hops = [hop for route in json.loads(output) for hop in route.get("nexthops", ())]
    return {hop["gateway"]: hop["weight"] for hop in hops}


@pytest.mark.parametrize("daemon", ["frr", "bird"])
async def test_a_node_with_two_endpoints_has_twice_the_weight(
    cable: RouterLink, daemon: str
) -> None:
    recipe = "weights"
    async with (
        daemons(cable) as (_, router_frr, _, router_bird),
        speaker(recipe, NODE, 1) as first,
        speaker(recipe, NODE_SECOND, 2),
    ):
        router = router_frr if daemon == "frr" else router_bird
        await router.start(text(f"{recipe}/router-{daemon}.conf"))

        def doubled(found: dict[str, int]) -> bool:
            return bool(found) and found.get(NODE_SECOND) == 2 * found.get(NODE, 0)

        await eventually(lambda: weights(cable.router), doubled, 20)
        pool = read_config(yaml.safe_load(text(f"{recipe}/speaker.yaml"))["data"]["config"]).pools[
            0
        ]
        first.announce("default/web", Announcement((ip_address(SERVICE),), pool, 2))
        await eventually(lambda: weights(cable.router), lambda found: len(set(found.values())) == 1)
