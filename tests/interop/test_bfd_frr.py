"""Our BFD against FRR's, and the effect of a lost path on BGP, asserted from FRR's side."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.bgp.bfd_node import BfdNode, running_bfd_node
from support.bgp.frr import Frr
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6, RouterLink
from support.net.waiting import TIMEOUT, eventually

pytestmark = [pytest.mark.interop, pytest.mark.punctual]

HOST = "192.0.2.1"
FAST = "receive-interval: 50, transmit-interval: 50, detect-multiplier: 3"


@pytest.fixture
async def node(cable: RouterLink) -> AsyncIterator[BfdNode]:
    async with running_bfd_node() as made:
        yield made


def bgpd(*more: str, peer: str = NODE, bfd: str = "bfd profile p") -> str:
    lines = [
        "router bgp 64513",
        " bgp router-id 10.9.9.9",
        " no bgp ebgp-requires-policy",
        " bgp log-neighbor-changes",
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
    return await eventually(lambda: router.bfd_peer(peer), lambda it: it.get("status") == status)


async def steady(node: BfdNode, router: Frr) -> None:
    """Wait until all is up, and drop earlier lines: FRR starts BFD again when BGP comes up."""
    await eventually(
        lambda: router.bfd_peer(NODE),
        lambda it: it.get("status") == "up" and it["uptime"] >= 2,
    )
    await learned(router)
    node.events.clear()


async def learned(router: Frr) -> dict[str, Any]:
    return await eventually(lambda: router.route(f"{HOST}/32"), bool)


async def test_bfd_session_is_up_on_both_sides(node: BfdNode, router: Frr) -> None:
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


async def cut(cable: RouterLink) -> None:
    """Drop every packet, while both interfaces keep their carrier."""
    rules = "*filter\n-A INPUT -i eth0 -j DROP\n-A OUTPUT -o eth0 -j DROP\nCOMMIT\n"
    await run("ip", "netns", "exec", cable.router, "iptables-restore", "-n", feed=rules)


async def mend(cable: RouterLink) -> None:
    await run("ip", "netns", "exec", cable.router, "iptables", "-F")


async def notification_time(router: Frr) -> float:
    """Return the time at which FRR's BGP has received our Cease/BFD Down."""
    while "6/10 (Cease/BFD Down)" not in router.log():
        await asyncio.sleep(0.001)
    return time.monotonic()


async def test_the_route_is_gone_within_200_ms_of_a_cut_link(
    cable: RouterLink, node: BfdNode, router: Frr
) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await steady(node, router)
    await eventually(lambda: router.in_namespace("ip", "route", "show", HOST), bool)
    monitor = await asyncio.create_subprocess_exec(
        "ip", "-n", cable.router, "monitor", "route", stdout=subprocess.PIPE
    )
    assert monitor.stdout is not None
    await asyncio.sleep(0.5)  # the monitor does not report when it is ready
    notified = asyncio.create_task(notification_time(router))
    await cut(cable)
    after = time.monotonic()
    async with asyncio.timeout(TIMEOUT):
        while HOST.encode() not in (line := await monitor.stdout.readline()):
            pass
    gone = time.monotonic()
    monitor.terminate()
    await monitor.wait()
    await node.logged("bfdDown")
    closed = await node.logged("sessionDown")

    print(
        f"\nFRR's BGP was notified {(await notified - after) * 1000:.0f} ms after the cut, ", end=""
    )
    print(f"the route was gone after {(gone - after) * 1000:.0f} ms")
    assert line.startswith(b"Deleted")
    assert gone - after < (0.2 if os.environ.get("METALLB_PY_BFD_STRICT") == "1" else 1.0)
    assert closed["reason"].startswith("BFD down")

    await mend(cable)
    await node.logged("bfdUp")
    await learned(router)


async def test_bfd_over_ipv6(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(peer=NODE_V6), bfdd(*FAST_FRR))
    node.configure(FAST, peer(ROUTER_V6))

    assert (await node.logged("bfdUp"))["peer"] == ROUTER_V6
    assert (await has_bfd(router, "up", NODE_V6))["multihop"] is False
    await node.logged("sessionUp")


async def test_multihop_bfd(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(f"neighbor {NODE} ebgp-multihop 5"), bfdd(*FAST_FRR))
    node.configure(FAST, peer(ROUTER, "ebgp-multihop: true"))

    await node.logged("bfdUp")
    assert (await has_bfd(router, "up"))["multihop"] is True


async def test_bgp_does_not_wait_for_bfd(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(bfd="timers 30 90"))
    node.configure(FAST, peer())
    node.advertise(HOST)

    await learned(router)
    assert node.metric("metallb_bfd_session_up", ROUTER) == 0


async def test_bfd_passive_mode_lets_the_router_begin(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(f"{FAST}, passive-mode: true", peer())

    await node.logged("bfdUp")
    await has_bfd(router, "up")


async def test_bfd_timers_change_on_both_sides_while_the_session_stays_up(
    node: BfdNode, router: Frr
) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await steady(node, router)

    node.configure("receive-interval: 200, transmit-interval: 150, detect-multiplier: 5", peer())
    session = await eventually(
        lambda: router.bfd_peer(NODE), lambda it: it["remote-detect-multiplier"] == 5
    )
    assert session["remote-receive-interval"] == 200
    assert session["remote-transmit-interval"] == 150
    await router.configure("bfd", "profile p", "transmit-interval 500", "receive-interval 400")
    await asyncio.sleep(2)
    node.configure(FAST, peer())
    await eventually(lambda: router.bfd_peer(NODE), lambda it: it["remote-receive-interval"] == 50)
    await asyncio.sleep(2)

    assert (await router.bfd_peer(NODE))["status"] == "up"
    assert not [line for line in node.events if line.get("event") in ("bfdDown", "sessionDown")]


async def test_bfd_admin_down_of_the_router_removes_no_route(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await steady(node, router)
    await router.configure("bfd", "profile p", "shutdown")

    assert "AdminDown" in (await node.logged("bfdDown"))["reason"]
    await asyncio.sleep(1)
    assert not [line for line in node.events if line.get("event") == "sessionDown"]
    await router.configure("bfd", "profile p", "no shutdown")
    await node.logged("bfdUp")
    await learned(router)


async def test_a_removed_bfd_session_ends_with_admin_down(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await steady(node, router)
    node.configure(FAST, peer().replace(", bfd-profile: p", ""))

    session = await has_bfd(router, "down")
    assert session["remote-diagnostic"] == "administratively down"
    # FRR treats that as a failure, and establishes the session again at once.
    await eventually(lambda: router.route(f"{HOST}/32"), lambda it: bool(it) and it["valid"])
    assert node.metric("metallb_bfd_session_up", ROUTER) is None


async def test_a_crash_of_the_routers_bfdd_is_detected(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await steady(node, router)
    before = time.monotonic()
    await router.kill("bfdd")

    assert "no packet received" in (await node.logged("bfdDown"))["reason"]
    assert time.monotonic() - before < 5.0, "the hold time is longer"
    assert (await node.logged("sessionDown"))["reason"].startswith("BFD down")

    async def log() -> str:
        return router.log()

    await eventually(log, lambda text: f"received from neighbor {NODE} 6/10" in text)


def stall() -> None:
    """Block the speaker's event loop."""
    time.sleep(1.0)


async def test_a_blocked_event_loop_does_not_end_the_bfd_session(
    node: BfdNode, router: Frr
) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await steady(node, router)
    stall()
    await asyncio.sleep(0.5)

    assert not [line for line in node.events if line.get("event") in ("bfdDown", "sessionDown")]
    assert (await router.bfd_peer(NODE))["status"] == "up"


async def test_a_crash_of_our_bfd_process_is_detected_and_recovered_from(
    node: BfdNode, router: Frr
) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    node.advertise(HOST)
    await steady(node, router)
    os.kill(bfd_process(), signal.SIGKILL)

    await node.logged("bfdRestarted")
    assert "BFD down" in (await node.logged("sessionDown"))["reason"]
    await node.logged("bfdUp")
    await has_bfd(router, "up")
    await learned(router)


def bfd_process() -> int:
    """Return the process ID of the BFD process, a child of this one."""
    children = Path("/proc/thread-self/children").read_text().split()
    (found,) = (
        int(child)
        for child in children
        if b"speaker.bfd.io.process" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    return found


async def test_bfd_metrics(node: BfdNode, router: Frr) -> None:
    await router.start(bgpd(), bfdd(*FAST_FRR))
    node.configure(FAST, peer())
    await node.logged("bfdUp")
    await has_bfd(router, "up")

    async def counted() -> float:
        return node.metric("metallb_bfd_control_packet_input", ROUTER) or 0.0

    await eventually(counted, lambda value: value > 20)
    assert node.metric("metallb_bfd_session_up", ROUTER) == 1
    assert (node.metric("metallb_bfd_control_packet_output", ROUTER) or 0) > 20
    assert node.metric("metallb_bfd_session_up_events", ROUTER) == 1
    assert node.metric("metallb_bfd_session_down_events", ROUTER) == 0


ECHO_FRR = (*FAST_FRR, "echo-mode", "echo transmit-interval 50")


def forward(value: str) -> None:
    for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", switch).write_text(value)


@pytest.mark.parametrize(("ours", "theirs"), [(NODE, ROUTER), (NODE_V6, ROUTER_V6)])
async def test_bfd_echo_packets_of_the_router_are_returned(
    node: BfdNode, router: Frr, ours: str, theirs: str
) -> None:
    forward("1")
    await router.start(bgpd(peer=ours), bfdd(*ECHO_FRR))
    node.configure(f"{FAST}, echo-mode: true", peer(theirs))
    await node.logged("bfdUp")

    async def returned() -> int:
        found = re.search(r"Echo packet input: (\d+)", await router.command(COUNTERS))
        return int(found[1]) if found else 0

    await eventually(returned, lambda count: count > 30)
    assert (await router.bfd_peer(ours))["status"] == "up"


COUNTERS = "show bfd peers counters"


async def test_bfd_echo_is_not_offered_by_a_host_that_does_not_forward(
    node: BfdNode, router: Frr
) -> None:
    forward("0")
    await router.start(bgpd(), bfdd(*ECHO_FRR))
    node.configure(f"{FAST}, echo-mode: true", peer())
    await node.logged("bfdUp")
    await node.logged("sessionUp")

    assert (await has_bfd(router, "up"))["remote-echo-receive-interval"] == 0
    assert [line["error"] for line in node.events if line.get("op") == "openBfd"] == [
        f"echo with {ROUTER}: this host does not forward IPv4"
    ]
