"""ExaBGP in a namespace. It keeps no table: one is computed from the events of its API.

Its API process is a shell script that writes the events to a file, one JSON object a line.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from support.bgp.router import (
    Daemon,
    DaemonRouter,
    ReceivedRoute,
    RouterSession,
    provided,
)
from support.net.requirements import require
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6
from support.net.waiting import eventually

_NEIGHBOR = """
neighbor {theirs} {{
  local-address {ours};
  router-id 10.9.9.9;
  local-as {parameters.asn};
  peer-as {parameters.node_asn};
  passive true;
  listen 179;
  {password}
  capability {{ route-refresh enable; nexthop enable; }}
  family {{ ipv4 unicast; ipv6 unicast; }}
  {next_hops}
  api {{
    processes [ recorder ];
    neighbor-changes;
    receive {{ parsed; update; notification; }}
  }}
}}
"""
_SETTINGS = (
    "exabgp.daemon.user=root",
    "exabgp.api.ack=false",
    "exabgp.api.cli=false",
    "exabgp.log.destination=stdout",
)


class ExaBgp(DaemonRouter):
    """ExaBGP as a ``Router``."""

    def __init__(self, namespace: str, directory: Path) -> None:
        super().__init__(Daemon(namespace, directory / "exabgp.log"))
        self._config = directory / "exabgp.conf"
        self._events_file = directory / "events.json"
        self._recorder = directory / "recorder"

    async def start(self, parameters: RouterSession) -> None:
        # ExaBGP treats a process with a closed standard output as dead; the shell keeps it open.
        self._recorder.write_text(f"#!/bin/sh\ncat >>{self._events_file}\n")
        self._recorder.chmod(0o755)
        password = f"md5-password {parameters.password};" if parameters.password else ""
        next_hops = "nexthop { ipv4 unicast ipv6; }" if parameters.extended_next_hop else ""
        neighbors = (
            _NEIGHBOR.format(
                ours=ours, theirs=theirs, parameters=parameters, password=password, next_hops=more
            )
            for ours, theirs, more in ((ROUTER, NODE, ""), (ROUTER_V6, NODE_V6, next_hops))
        )
        process = f"process recorder {{ run {self._recorder}; encoder json; }}\n"
        self._config.write_text(process + "".join(neighbors))
        await self._spawn()

    async def received_route(self, prefix: str) -> ReceivedRoute | None:
        return next((route for (_, p), route in self._table().items() if p == prefix), None)

    async def prefixes(self) -> set[str]:
        return {prefix for _, prefix in self._table()}

    async def established_count(self, address: str) -> int:
        return sum(event.get("state") == "up" for peer, event in self._events() if peer == address)

    async def notification(self, address: str) -> tuple[int, int] | None:
        last = None
        for peer, event in self._events():
            if peer == address and "notification" in event:
                last = event["notification"]["code"], event["notification"]["subcode"]
        return last

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the recorded events as the node's address and the fields of the neighbor."""
        for line in self._events_file.read_text().split("\n")[:-1]:
            neighbor = json.loads(line).get("neighbor")
            if neighbor is not None:
                yield neighbor["address"]["peer"], neighbor

    def _table(self) -> dict[tuple[str, str], ReceivedRoute]:
        table: dict[tuple[str, str], ReceivedRoute] = {}
        for peer, event in self._events():
            if event.get("state") == "down":
                table = {key: route for key, route in table.items() if key[0] != peer}
            update = event.get("message", {}).get("update", {})
            for withdrawn in update.get("withdraw", {}).values():
                for each in withdrawn:
                    table.pop((peer, each["nlri"]), None)
            for announced in update.get("announce", {}).values():
                for next_hop, reached in announced.items():
                    route = _parse_route(update["attribute"], next_hop)
                    table.update({(peer, each["nlri"]): route for each in reached})
        return table

    async def _spawn(self) -> None:
        self._events_file.write_text("")
        settings = ("env", *_SETTINGS)
        await self._daemon.spawn(*settings, "exabgp", str(self._config))

        async def listeners() -> str:
            return await self._daemon.output_of("ss", "-Hltn", "sport", "=", "179")

        await eventually(listeners, lambda text: ROUTER in text and ROUTER_V6 in text)


def _parse_route(attributes: dict[str, Any], next_hop: str) -> ReceivedRoute:
    return ReceivedRoute(
        next_hop=next_hop,
        as_path=tuple(attributes.get("as-path", ())),
        origin=attributes["origin"],
        local_pref=attributes.get("local-preference"),
        med=attributes.get("med"),
        communities=frozenset((high, low) for high, low in attributes.get("community", ())),
        large_communities=frozenset(
            (admin, one, two) for admin, one, two in attributes.get("large-community", ())
        ),
    )


@contextlib.asynccontextmanager
async def exabgp(namespace: str) -> AsyncIterator[ExaBgp]:
    """Provide a router that is not started yet; stop it at the end."""
    require(shutil.which("exabgp"), "ExaBGP")
    async with provided(ExaBgp, namespace) as router:
        yield router
