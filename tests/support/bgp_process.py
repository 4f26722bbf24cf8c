"""A BGP announcer in a process of its own, that can be killed and told to end.

    python bgp_process.py '{"peer": {...}, "announce": ["192.0.2.1"], "routes_stay": true, ...}'

SIGTERM ends it as it ends a speaker.
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

from support.patience import PATIENCE
from support.running import while_running

from metallb_py.model.config import BfdProfile, BgpAdvertisement, Config, Peer, Pool, Protocol
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import SpeakerMetrics
from metallb_py.runtime.tasks import run_with_signals
from speaker.announcers.bgp import BgpAnnouncer
from speaker.bgp.shutdown import Parting
from speaker.decision import Announcement

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
    routes_stay: bool = False,
    why: str = "speaker ends",
    drain_time: float = 0.0,
    my_asn: int = 64512,
    peer_asn: int = 64513,
    complete: bool = True,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run one in a namespace for the length of a block, or until it is killed."""
    wanted = {
        "peer": {"my_asn": my_asn, "peer_asn": peer_asn, "address": router, **(peer or {})},
        "announce": addresses,
        "parting": [routes_stay, why],
        "drain_time": drain_time,
        "complete": complete,
    }
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, __file__, json.dumps(wanted),
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process, event: str, within: float = PATIENCE) -> Any:
    """Return its next log line of an event."""
    assert process.stdout is not None
    async with asyncio.timeout(within):
        while (line := json.loads(await process.stdout.readline())).get("event") != event:
            pass
    return line


async def announce(wanted: dict[str, Any], stop: asyncio.Event) -> int:
    """Be that process."""
    announcer = BgpAnnouncer("node1", Logger(), SpeakerMetrics(), drain_time=wanted["drain_time"])
    settings = wanted["peer"]
    peer = Peer(**{**settings, "address": ip_address(settings["address"])})
    profiles = (BfdProfile("fast", 50, 50, 3),) if peer.bfd_profile else ()
    announcer.configure(Config(peers=(peer,), bfd_profiles=profiles), {})
    addresses = tuple(map(ip_address, wanted["announce"]))
    announcer.announce("default/web", Announcement(addresses, POOL))
    if wanted["complete"]:
        announcer.complete()
    async with while_running(announcer.run()):
        await stop.wait()
        announcer.part(Parting(*wanted["parting"]))
        await announcer.settle()
    return 0


if __name__ == "__main__":
    sys.exit(run_with_signals(lambda stop: announce(json.loads(sys.argv[1]), stop)))
