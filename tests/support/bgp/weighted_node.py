"""A node in a process of its own: announces a service by its local endpoints, and serves it.

    python -m support.bgp.weighted_node NAME YAML

The service, ``default/web``, has ``externalTrafficPolicy: Local``. The number of endpoints by node
is read from standard input, a JSON object a line. Each connection to one of the service's addresses
receives the node's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import msgspec
from support.kube.objects import service

from metallb_py.config.compile.read_config import read_config
from metallb_py.kube.endpoints import from_slices
from metallb_py.kube.objects import EndpointSlice
from metallb_py.runtime.log import Logger
from speaker.announcers.bgp import bgp_announcer
from speaker.core import Adjust, Announce, Effect, Source, Speaker, Withdraw
from speaker.metrics import SpeakerMetrics

ADDRESSES = ("192.0.2.1", "2001:db8::1")
PORT = 80
WEB = service(ips=ADDRESSES, external_traffic_policy="Local")


class WeightedNode:
    """The node process, as the test controls it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def place(self, **endpoints: int) -> None:
        """Set the number of endpoints by node."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(endpoints).encode() + b"\n")


@contextlib.asynccontextmanager
async def weighted_node(namespace: str, name: str, config: str) -> AsyncIterator[WeightedNode]:
    """Run a node in a namespace for the length of a block."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, "-P", "-m", __spec__.name, name, config,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield WeightedNode(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def slice_of(endpoints: dict[str, int]) -> EndpointSlice:
    """Return the only EndpointSlice of the service."""
    pods = [(node, number) for node, count in endpoints.items() for number in range(count)]
    listed = [
        {"addresses": [f"10.0.0.{index}"], "nodeName": node, "conditions": {"ready": True}}
        for index, (node, _) in enumerate(pods, 1)
    ]
    meta = {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}
    return msgspec.convert(
        {"metadata": meta, "endpoints": listed, "addressType": "IPv4"}, EndpointSlice
    )


async def run_node(name: str, text: str) -> None:
    """Run the node in this process."""
    core, config = Speaker(name), read_config(text)
    announcer = bgp_announcer(name, Logger(), SpeakerMetrics(), drain_time=0)

    def perform(effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Announce(_, announcement, _) | Adjust(_, announcement):
                    announcer.announce(WEB.key, announcement)
                case Withdraw():
                    announcer.withdraw(WEB.key, handed_over=False)

    def send_name(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode())
        writer.close()

    announcer.configure(config, {})
    core.service_changed(WEB.key, WEB)
    core.config_changed(config)
    for source in Source:
        core.synced(source)
    async with asyncio.TaskGroup() as group:
        for address in ADDRESSES:
            await asyncio.start_server(send_name, address, PORT, backlog=1024)
        group.create_task(announcer.run())
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        async for line in reader:
            perform(core.endpoints_changed(WEB.key, from_slices([slice_of(json.loads(line))])))


if __name__ == "__main__":
    asyncio.run(run_node(*sys.argv[1:]))
