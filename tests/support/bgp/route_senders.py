"""Senders of many BGP routes to a BIRD receiver: ours in its own process, BIRD, GoBGP, ExaBGP.

Each has loaded its routes before the receiver is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address, ip_address, ip_network, summarize_address_range
from itertools import chain
from pathlib import Path

from support.bgp.bird import Bird
from support.bgp.node import peer, route, running_node
from support.bgp.router import Daemon
from support.net.requirements import require
from support.net.router_link import NODE, ROUTER, RouterLink
from support.net.waiting import eventually

FIRST = IPv4Address("10.128.0.0")
NODE_ASN, ROUTER_ASN = 64512, 64513

Sender = Callable[[RouterLink, Path, int], contextlib.AbstractAsyncContextManager[Daemon]]


@contextlib.asynccontextmanager
async def ours(cable: RouterLink, directory: Path, count: int) -> AsyncIterator[Daemon]:
    """Run the speaker's BGP with ``count`` routes for the router."""
    async with our_process(cable, directory, count, (NODE, ROUTER)) as daemon:
        yield daemon


@contextlib.asynccontextmanager
async def our_process(
    cable: RouterLink, directory: Path, count: int, *sessions: tuple[str, str]
) -> AsyncIterator[Daemon]:
    """Run the speaker's BGP with ``count`` routes for sessions of (source, destination) address."""
    environment = (f"PYTHONPATH={os.pathsep.join(sys.path)}", f"PATH={os.environ['PATH']}")
    line = ("env", "-i", *environment, sys.executable, __file__, str(count), *chain(*sessions))
    async with _running(cable.node, directory / "ours.log", *line) as daemon:
        await _wait_logged(daemon, "loaded")
        yield daemon


@contextlib.asynccontextmanager
async def bird(cable: RouterLink, directory: Path, count: int) -> AsyncIterator[Daemon]:
    """Run BIRD with ``count`` static routes."""
    require(shutil.which("bird"), "BIRD")
    routes = "\n".join(f"route {FIRST + n}/32 blackhole;" for n in range(count))
    config = directory / "sender.conf"
    config.write_text(
        f"""
router id {NODE};
protocol device {{}}
protocol static {{ ipv4; {routes} }}
protocol bgp {{
    local {NODE} as {NODE_ASN};
    neighbor {ROUTER} as {ROUTER_ASN};
    connect delay time 1; connect retry time 1;
    ipv4 {{ import none; export all; }};
}}"""
    )
    socket = directory / "sender.ctl"
    line = ("bird", "-f", "-c", str(config), "-s", str(socket))
    async with _running(cable.node, directory / "sender.log", *line) as daemon:
        await eventually(
            lambda: daemon.output_of("birdc", "-s", str(socket), "show", "route", "count"),
            lambda text: text.splitlines()[-1:] != [] and f"{count} of {count} routes" in text,
        )
        yield daemon


@contextlib.asynccontextmanager
async def gobgp(cable: RouterLink, directory: Path, count: int) -> AsyncIterator[Daemon]:
    """Run GoBGP with ``count`` routes injected from an MRT table dump."""
    require(shutil.which("gobgpd"), "GoBGP")
    config, dump = directory / "gobgpd.toml", directory / "table.mrt"
    config.write_text(
        f"""
[global.config]
  as = {NODE_ASN}
  router-id = "{NODE}"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{ROUTER}"
    peer-as = {ROUTER_ASN}
  [neighbors.timers.config]
    connect-retry = 1
"""
    )
    dump.write_bytes(_table_dump(count))
    line = ("gobgpd", "-f", str(config), "--api-hosts", "127.0.0.1:50051")
    async with _running(cable.node, directory / "gobgpd.log", *line) as daemon:
        await eventually(lambda: daemon.output_of("gobgp", "neighbor"), lambda text: ROUTER in text)
        await daemon.output_of("gobgp", "mrt", "inject", "global", str(dump), "--nexthop", NODE)
        await eventually(
            lambda: daemon.output_of("gobgp", "global", "rib", "summary"),
            lambda text: f"Destination: {count}" in text,
        )
        yield daemon


@contextlib.asynccontextmanager
async def exabgp(cable: RouterLink, directory: Path, count: int) -> AsyncIterator[Daemon]:
    """Run ExaBGP with ``count`` static routes."""
    require(shutil.which("exabgp"), "ExaBGP")
    blocks = summarize_address_range(FIRST, FIRST + count - 1)
    routes = "\n".join(f"route {block} next-hop {NODE} split /32;" for block in blocks)
    config = directory / "exabgp.conf"
    config.write_text(
        f"""
neighbor {ROUTER} {{
    local-address {NODE}; router-id {NODE}; local-as {NODE_ASN}; peer-as {ROUTER_ASN};
    family {{ ipv4 unicast; }}
    static {{ {routes} }}
}}"""
    )
    settings = ("exabgp.daemon.user=root", "exabgp.api.cli=false", "exabgp.log.destination=stdout")
    line = ("env", *settings, "exabgp", str(config))
    async with _running(cable.node, directory / "exabgp.log", *line) as daemon:
        await _wait_logged(daemon, "loaded new configuration successfully")
        yield daemon


class Receiver:
    """A BIRD instance that imports every route and counts them."""

    def __init__(self, cable: RouterLink, directory: Path) -> None:
        self._bird = Bird(cable.router, directory)
        self._socket = directory / "bird.ctl"

    async def start(self, *addresses: tuple[str, str]) -> None:
        """Start, and listen for sessions of (node address, local address)."""
        # BIRD distinguishes sessions by their source address only.
        sessions = (
            f"""
protocol bgp from{number} {{
    local {local} as {ROUTER_ASN};
    neighbor {node} as {NODE_ASN};
    passive;
    ipv4 {{ import all; export none; }};
}}"""
            for number, (node, local) in enumerate(addresses)
        )
        await self._bird.start("router id 10.9.9.9;\nprotocol device {}" + "".join(sessions))

    async def stop(self) -> None:
        """Kill BIRD."""
        await self._bird.stop()

    async def seconds_to_receive(self, count: int, within: float) -> float:
        """Return the seconds from Established until ``count`` routes are in the table."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            await reader.readline()
            output = ""
            up = None
            deadline = time.monotonic() + within
            while time.monotonic() < deadline:
                writer.write(b"show protocols all from0\n")
                output = (await reader.readuntil(b"\n0000 ")).decode() + await _rest(reader)
                now = time.monotonic()
                if up is None and "Established" in output:
                    up = now
                found = re.search(r"Routes:\s+(\d+) imported", output)
                if up is not None and found is not None and int(found[1]) == count:
                    assert f"{count} of {count}" in await self._bird.birdc("show route count")
                    return now - up
                await asyncio.sleep(0.002)
            raise AssertionError(f"not {count} routes within {within} s: {output}")
        finally:
            writer.close()

    async def count(self) -> str:
        """Return the output of ``show route count``."""
        return await self._bird.birdc("show route count")


async def _rest(reader: asyncio.StreamReader) -> str:
    return (await reader.readline()).decode()


@contextlib.asynccontextmanager
async def _running(namespace: str, log: Path, *command: str) -> AsyncIterator[Daemon]:
    daemon = Daemon(namespace, log)
    try:
        await daemon.spawn(*command)
        yield daemon
    finally:
        await daemon.kill()


async def _wait_logged(daemon: Daemon, text: str) -> None:
    async def log() -> list[str]:
        return daemon.log

    await eventually(log, lambda lines: any(text in line for line in lines))


def _table_dump(count: int) -> bytes:
    """Return an MRT TABLE_DUMP_V2 (RFC 6396) of one peer with ``count`` prefixes.

    Some occur twice: GoBGP's command exits before the last thousand of a dump are inserted.
    """
    node = IPv4Address(NODE).packed
    peers = struct.pack("!4sHHB4s4sI", node, 0, 1, 2, node, node, NODE_ASN)
    # ORIGIN incomplete, an empty AS_PATH, NEXT_HOP
    attributes = bytes((0x40, 1, 1, 2, 0x40, 2, 0, 0x40, 3, 4)) + node
    entry = struct.pack("!HHIH", 1, 0, 0, len(attributes)) + attributes
    records = [_mrt(1, peers)]
    for number in range(count + 4096):
        prefix = (FIRST + number % count).packed
        records.append(_mrt(2, struct.pack("!IB4s", number, 32, prefix) + entry))
    return b"".join(records)


def _mrt(subtype: int, body: bytes) -> bytes:
    return struct.pack("!IHHI", 0, 13, subtype, len(body)) + body


async def _advertise_forever(count: int, addresses: list[str]) -> None:
    sessions = [
        peer(router, NODE_ASN, ROUTER_ASN, source_address=ip_address(source))
        for source, router in zip(addresses[::2], addresses[1::2], strict=True)
    ]
    async with running_node() as node:
        # All have the same attributes object, as the routes of one advertisement do.
        _, attributes = route(f"{FIRST}/32")
        prefixes = (ip_network(f"{FIRST + number}/32") for number in range(count))
        node.advertise(*((prefix, attributes) for prefix in prefixes))
        node.peer_with(*sessions)
        print("loaded", flush=True)
        while True:
            await asyncio.sleep(60)
            node.events.clear()


if __name__ == "__main__":
    asyncio.run(_advertise_forever(int(sys.argv[1]), sys.argv[2:]))
