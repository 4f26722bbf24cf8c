"""A BGP announcer in a process of its own, which can be killed or shut down.

    python announcer_process.py '{"peer": {...}, "announce": ["192.0.2.1"], "drain_time": 0.0, ...}'

SIGTERM shuts it down as it does a speaker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from typing import Any

from support.net.background import while_running
from support.net.waiting import TIMEOUT

from metallb_py.model.config import BgpAdvertisement, Config, Pool, Protocol
from metallb_py.model.peers import BfdProfile, Peer, SessionParameters
from metallb_py.runtime.log import Logger
from metallb_py.runtime.tasks import run_with_signals
from speaker.announcers.bgp import bgp_announcer
from speaker.bgp.shutdown import ShutdownMode
from speaker.decision import Announcement
from speaker.metrics import SpeakerMetrics

POOL = Pool(
    "bgp",
    Protocol.BGP,
    (ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")),
    bgp_advertisements=(BgpAdvertisement(),),
)


@contextlib.asynccontextmanager
async def announcing(
    namespace: str,
    router: str,
    *addresses: str,
    peer: dict[str, Any] | None = None,
    graceful_restart: bool = False,
    why: str = "speaker ends",
    drain_time: float = 0.0,
    my_asn: int = 64512,
    peer_asn: int = 64513,
    initial_sync_done: bool = True,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an announcer in a namespace for the length of a block, or until it is killed."""
    options = {
        "peer": {"local_asn": my_asn, "peer_asn": peer_asn, "address": router, **(peer or {})},
        "announce": addresses,
        "shutdown": [graceful_restart, why],
        "drain_time": drain_time,
        "initial_sync_done": initial_sync_done,
    }
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, __file__, json.dumps(options),
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def next_log_entry(
    process: asyncio.subprocess.Process, event: str, within: float = TIMEOUT
) -> Any:
    """Return the next log line of an event."""
    assert process.stdout is not None
    async with asyncio.timeout(within):
        while (line := json.loads(await process.stdout.readline())).get("event") != event:
            pass
    return line


async def announce(options: dict[str, Any], stop: asyncio.Event) -> int:
    """Run the announcer in this process; return its exit status."""
    announcer = bgp_announcer("node1", Logger(), SpeakerMetrics(), drain_time=options["drain_time"])
    settings = options["peer"]
    bfd_profile = settings.pop("bfd_profile", "")
    session = SessionParameters(**{**settings, "address": ip_address(settings["address"])})
    peer = Peer(session, bfd_profile=bfd_profile)
    profiles = (BfdProfile("fast", 50, 50, 3),) if peer.bfd_profile else ()
    announcer.configure(Config(peers=(peer,), bfd_profiles=profiles), {})
    addresses = tuple(map(ip_address, options["announce"]))
    announcer.announce("default/web", Announcement(addresses, POOL))
    if options["initial_sync_done"]:
        announcer.initial_sync_done()
    async with while_running(announcer.run()):
        await stop.wait()
        announcer.begin_shutdown(ShutdownMode(*options["shutdown"]))
        await announcer.wait_drained()
    return 0


if __name__ == "__main__":
    sys.exit(run_with_signals(lambda stop: announce(json.loads(sys.argv[1]), stop)))
