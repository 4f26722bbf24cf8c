"""Our BFD against FRR's, and what the loss of a path does to BGP, asserted from FRR's side."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.bfd_node import Watched, watched_node
from support.bgp_wire import NODE, ROUTER, Wire, eventually
from support.frr import Frr, frr

pytestmark = pytest.mark.interop

HOST = "192.0.2.1"
FAST = "receive-interval: 50, transmit-interval: 50, detect-multiplier: 3"


@pytest.fixture
async def router(cable: Wire) -> AsyncIterator[Frr]:
    async with frr(cable.router) as made:
        yield made


@pytest.fixture
async def node(cable: Wire) -> AsyncIterator[Watched]:
    async with watched_node() as made:
        yield made


def bgpd(*more: str, peer: str = NODE, bfd: str = "bfd profile p") -> str:
    lines = [
        "router bgp 64513",
        " bgp router-id 10.9.9.9",
        " no bgp ebgp-requires-policy",
        f" neighbor {peer} remote-as 64512",
        f" neighbor {peer} passive",
        f" neighbor {peer} {bfd}",
        *(f" {line}" for line in more),
    ]
    return "\n".join(lines) + "\n"


def bfdd(*profile: str) -> str:
    lines = (f"  {line}\n" for line in profile)
    return "bfd\n profile p\n" + "".join(lines) + " !\n!\n"


FAST_FRR = ("receive-interval 50", "transmit-interval 50", "detect-multiplier 3")


def peer(address: str = ROUTER, *more: str) -> str:
    fields = ("my-asn: 64512", "peer-asn: 64513", f'peer-address: "{address}"', "bfd-profile: p")
    return ", ".join((*fields, *more))


async def has_bfd(router: Frr, status: str, peer: str = NODE) -> dict[str, Any]:
    return await eventually(
        lambda: router.bfd_peer(peer), lambda it: it.get("status") == status, within=20.0
    )


async def learned(router: Frr) -> dict[str, Any]:
    return await eventually(lambda: router.route(f"{HOST}/32"), bool)


async def test_both_sides_see_each_other_up(node: Watched, router: Frr) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)

    assert (await node.logged("bfdUp"))["peer"] == ROUTER
    session = await has_bfd(router, "up")
    assert session["remote-receive-interval"] == 50
    assert session["remote-transmit-interval"] == 50
    assert session["remote-detect-multiplier"] == 3
    await learned(router)


async def run(*command: str, feed: str = "") -> None:
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)
    await process.communicate(feed.encode())
    assert process.returncode == 0


async def cut(wire: Wire) -> None:
    """Have nothing pass, while both interfaces keep their carrier."""
    rules = "*filter\n-A INPUT -i eth0 -j DROP\n-A OUTPUT -o eth0 -j DROP\nCOMMIT\n"
    await run("ip", "netns", "exec", wire.router, "iptables-restore", "-n", feed=rules)


async def mend(wire: Wire) -> None:
    await run("ip", "netns", "exec", wire.router, "iptables", "-F")


async def test_the_route_is_gone_within_200_ms_of_a_cut_link(
    cable: Wire, node: Watched, router: Frr
) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await node.logged("bfdUp")
    await learned(router)
    await eventually(lambda: router.in_namespace("ip", "route", "show", HOST), bool)
    await has_bfd(router, "up")
    monitor = await asyncio.create_subprocess_exec(
        "ip", "-n", cable.router, "monitor", "route", stdout=subprocess.PIPE
    )
    assert monitor.stdout is not None
    await asyncio.sleep(0.5)  # the monitor can't be asked whether it listens yet
    before = time.monotonic()
    await cut(cable)
    after = time.monotonic()
    async with asyncio.timeout(10):
        while HOST.encode() not in (line := await monitor.stdout.readline()):
            pass
    gone = time.monotonic()
    monitor.terminate()
    await monitor.wait()
    await node.logged("bfdDown")
    closed = await node.logged("sessionDown")

    print(f"\nroute gone {(gone - before) * 1000:.0f} ms after the cut began, ", end="")
    print(f"{(gone - after) * 1000:.0f} ms after it was made")
    assert line.startswith(b"Deleted")
    assert gone - before < (0.2 if os.environ.get("METALLB_PY_BFD_STRICT") == "1" else 1.0)
    assert closed["reason"].startswith("BFD down")

    await mend(cable)
    await node.logged("bfdUp")
    await learned(router)
