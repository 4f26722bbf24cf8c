"""The BGP announcer under test with BFD, in this process, and its log."""

from __future__ import annotations

import contextlib
import json
import textwrap
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

from support.net.background import while_running
from support.net.waiting import TIMEOUT, Recorder

from metallb_py.config.compile.read_config import read_config
from metallb_py.runtime.log import Level, Logger
from speaker.announcers.bgp import bgp_announcer
from speaker.decision import Announcement
from speaker.metrics import SpeakerMetrics


class BfdNode(Recorder[dict[str, Any]]):
    """Drives a BGP announcer; a test can await its log lines."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics = SpeakerMetrics()
        logger = Logger(Level.DEBUG, lambda line: self.record(json.loads(line)))
        self.announcer = bgp_announcer("node1", logger, self.metrics)

    def configure(self, profile: str, *peers: str) -> None:
        """Configure these peers, each in YAML, and this BFD profile, named p."""
        listed = "".join(f"- {{{peer}}}\n" for peer in peers)
        text = textwrap.dedent(f"""\
            bfd-profiles: [{{name: p, {profile}}}]
            address-pools:
            - {{name: pool, protocol: bgp, addresses: [192.0.2.0/24]}}
            peers:
            """)
        config = read_config(text + listed)
        self.announcer.configure(config, {})
        self._pool = config.pools[0]

    def advertise(self, address: str) -> None:
        """Advertise one service's address."""
        addresses = (ip_address(address),)
        self.announcer.announce("default/web", Announcement(addresses, self._pool))

    async def logged(self, event: str, within: float = TIMEOUT) -> dict[str, Any]:
        """Wait for the next line of an event that no call has returned yet."""
        return await self.next_event(dict, lambda line: line.get("event") == event, within)

    def metric(self, name: str, peer: str) -> float | None:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, {"peer": peer})


@contextlib.asynccontextmanager
async def running_bfd_node() -> AsyncIterator[BfdNode]:
    """Run a node for the length of a block."""
    node = BfdNode()
    async with while_running(node.announcer.run()):
        yield node
