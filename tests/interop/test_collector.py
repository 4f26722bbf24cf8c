"""The lab's route collector against FRR, an independent implementation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.bgp.frr import Frr, frr
from support.bgp.node import Node, peer, route
from support.net.router_link import NODE, NODE_SECOND, NODE_V6, ROUTER, ROUTER_V6, RouterLink
from support.net.waiting import TIMEOUT, eventually, exists

pytestmark = pytest.mark.interop

CONFIG = f"""
router bgp 64513
 bgp router-id 10.9.9.9
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 1 3
 neighbor {NODE} remote-as 64512
 neighbor {NODE} timers connect 1
 neighbor {NODE_V6} remote-as 64512
 neighbor {NODE_V6} timers connect 1
 network 192.0.2.1/32
 network 198.51.100.0/24
 address-family ipv6 unicast
  neighbor {NODE_V6} activate
  network 2001:db8::1/128
 exit-address-family
"""


class Running:
    """A collector in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, state: Path) -> None:
        self.process = process
        self._state = state

    async def table(self) -> dict[str, list[str]]:
        table: dict[str, list[str]] = json.loads(self._state.read_text())
        return table


@contextlib.asynccontextmanager
async def collector(
    namespace: str, state: Path, host: str, peer_asn: int
) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, "-m", "metallb_py.lab.collector",
        "--listen", host, "--asn", "64512", "--peer-asn", str(peer_asn),
        "--router-id", "10.8.8.8", "--state", str(state),
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    try:
        await exists(state)
        yield Running(process, state)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def speaker(cable: RouterLink) -> AsyncIterator[Frr]:
    async with frr(cable.router) as made:
        await made.start(CONFIG)
        yield made


async def test_the_collector_follows_updates_and_withdrawals_of_frr(
    cable: RouterLink, speaker: Frr, tmp_path: Path
) -> None:
    async with collector(cable.node, tmp_path / "routes.json", NODE, 64513) as running:
        await eventually(
            running.table,
            lambda table: table == {"192.0.2.1/32": [ROUTER], "198.51.100.0/24": [ROUTER]},
        )
        await speaker.command("configure terminal\nrouter bgp 64513\nno network 192.0.2.1/32")
        await eventually(running.table, lambda table: table == {"198.51.100.0/24": [ROUTER]})
        await speaker.stop()
        await eventually(running.table, lambda table: table == {})


async def test_the_collector_learns_ipv6_routes(
    cable: RouterLink, speaker: Frr, tmp_path: Path
) -> None:
    async with collector(cable.node, tmp_path / "routes.json", NODE_V6, 64513) as running:
        await eventually(running.table, lambda table: table.get("2001:db8::1/128") == [ROUTER_V6])


async def test_a_prefix_has_a_next_hop_for_each_session(
    cable: RouterLink, node: Node, tmp_path: Path
) -> None:
    async with collector(cable.router, tmp_path / "routes.json", ROUTER, 64512) as running:
        sources = [ip_address(NODE), ip_address(NODE_SECOND)]
        sessions = [peer(ROUTER, 64512, 64512, source_address=source) for source in sources]
        node.advertise(route("192.0.2.1/32"))
        node.peer_with(*sessions)
        await eventually(
            running.table, lambda table: table == {"192.0.2.1/32": [NODE, NODE_SECOND]}
        )
        node.peer_with(sessions[1])
        await eventually(running.table, lambda table: table == {"192.0.2.1/32": [NODE_SECOND]})


async def test_hold_timer_expiry_removes_the_routes_of_a_frozen_speaker(
    cable: RouterLink, speaker: Frr, tmp_path: Path
) -> None:
    async with collector(cable.node, tmp_path / "routes.json", NODE, 64513) as running:
        await eventually(running.table, bool)
        speaker.freeze_bgpd()
        await eventually(running.table, lambda table: table == {})


async def test_the_collector_refuses_another_peer_asn(
    cable: RouterLink, speaker: Frr, tmp_path: Path
) -> None:
    async with collector(cable.node, tmp_path / "routes.json", NODE, 64999) as running:
        reset = await eventually(
            lambda: speaker.neighbor(NODE), lambda it: it.get("lastErrorCodeSubcode") == "0202"
        )

        assert reset["bgpState"] != "Established"
        assert await running.table() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_collector_sends_cease_when_it_is_stopped(
    cable: RouterLink, speaker: Frr, tmp_path: Path, number: signal.Signals
) -> None:
    async with collector(cable.node, tmp_path / "routes.json", NODE, 64513) as running:
        await eventually(running.table, bool)
        running.process.send_signal(number)
        async with asyncio.timeout(TIMEOUT):
            assert await running.process.wait() == 0

        await eventually(
            lambda: speaker.neighbor(NODE), lambda it: it.get("lastErrorCodeSubcode") == "0602"
        )
