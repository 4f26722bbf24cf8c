"""What the BGP announcer makes of its sessions' events, over loopback of a namespace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from support.bgp_peers import listening
from support.bgp_wire import NODE, eventually, inside, wire

from metallb_py.config.model import Config, Peer
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import SpeakerMetrics
from speaker.announcers.bgp import BgpAnnouncer

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with wire() as made, inside(made.node):
        yield


async def test_updates_of_a_peer_are_counted_and_malformed_ones_logged() -> None:
    lines: list[str] = []
    metrics = SpeakerMetrics()
    announcer = BgpAnnouncer("node1", Logger(write=lines.append), metrics, drain_time=0)
    announcer.configure(Config(peers=(Peer(64512, 64513, ip_address(NODE)),)), {})
    counted = b'metallb_bgp_updates_received_total{peer="10.77.0.1:179"} 2.0'

    async def page() -> bytes:
        return metrics.render()[0]

    async with listening(NODE) as accepted:
        running = asyncio.create_task(announcer.run())
        router = await accepted.get()
        router.accept_open(await router.hear())
        router.writer.write(b"\xff" * 16 + bytes.fromhex("001c 02 0000 0000 20c0000201"))
        router.writer.write(b"\xff" * 16 + bytes.fromhex("0017 02 0000 0000"))  # End-of-RIB

        told = await eventually(page, lambda said: counted in said)
        assert b'metallb_bgp_session_up{peer="10.77.0.1:179"} 1.0' in told
        running.cancel()
        await asyncio.wait([running])

    (warning,) = [line for line in map(json.loads, lines) if line["level"] == "warn"]
    assert warning["msg"] == "peer sent a malformed UPDATE"
    assert "NEXT_HOP is missing" in warning["error"]
