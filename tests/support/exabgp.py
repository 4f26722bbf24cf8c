"""ExaBGP, run by hand in a namespace. It keeps no table: what it tells a program is folded to one.

The program is a shell that writes it to a file, one JSON object a line.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from support.bgp_router import Daemon, DaemonRouter, Terms, Told, provided
from support.bgp_wire import NODE, NODE_V6, ROUTER, ROUTER_V6, eventually, require

_NEIGHBOR = """
neighbor {theirs} {{
  local-address {ours};
  router-id 10.9.9.9;
  local-as {terms.asn};
  peer-as {terms.node_asn};
  passive true;
  listen 179;
  {password}
  capability {{ route-refresh enable; nexthop enable; }}
  family {{ ipv4 unicast; ipv6 unicast; }}
  {next_hops}
  api {{
    processes [ told ];
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
    """One router."""

    def __init__(self, namespace: str, directory: Path) -> None:
        super().__init__(Daemon(namespace, directory / "exabgp.log"))
        self._config = directory / "exabgp.conf"
        self._said = directory / "told.json"
        self._program = directory / "told"

    async def start(self, terms: Terms) -> None:
        # It takes a program for dead whose standard output is closed: so the shell stays, too.
        self._program.write_text(f"#!/bin/sh\ncat >>{self._said}\n")
        self._program.chmod(0o755)
        password = f"md5-password {terms.password};" if terms.password else ""
        next_hops = "nexthop { ipv4 unicast ipv6; }" if terms.extended_next_hop else ""
        neighbors = (
            _NEIGHBOR.format(
                ours=ours, theirs=theirs, terms=terms, password=password, next_hops=more
            )
            for ours, theirs, more in ((ROUTER, NODE, ""), (ROUTER_V6, NODE_V6, next_hops))
        )
        process = f"process told {{ run {self._program}; encoder json; }}\n"
        self._config.write_text(process + "".join(neighbors))
        await self._spawn()

    async def told(self, prefix: str) -> Told | None:
        return next((told for (_, p), told in self._table().items() if p == prefix), None)

    async def prefixes(self) -> set[str]:
        return {prefix for _, prefix in self._table()}

    async def ups(self, address: str) -> int:
        return sum(said.get("state") == "up" for peer, said in self._events() if peer == address)

    async def notification(self, address: str) -> tuple[int, int] | None:
        last = None
        for peer, said in self._events():
            if peer == address and "notification" in said:
                last = said["notification"]["code"], said["notification"]["subcode"]
        return last

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Return what was told: of which address of the node, and what."""
        for line in self._said.read_text().split("\n")[:-1]:
            neighbor = json.loads(line).get("neighbor")
            if neighbor is not None:
                yield neighbor["address"]["peer"], neighbor

    def _table(self) -> dict[tuple[str, str], Told]:
        table: dict[tuple[str, str], Told] = {}
        for peer, said in self._events():
            if said.get("state") == "down":
                table = {key: told for key, told in table.items() if key[0] != peer}
            update = said.get("message", {}).get("update", {})
            for withdrawn in update.get("withdraw", {}).values():
                for each in withdrawn:
                    table.pop((peer, each["nlri"]), None)
            for announced in update.get("announce", {}).values():
                for next_hop, reached in announced.items():
                    told = _told(update["attribute"], next_hop)
                    table.update({(peer, each["nlri"]): told for each in reached})
        return table

    async def _spawn(self) -> None:
        self._said.write_text("")
        settings = ("env", *_SETTINGS)
        await self._daemon.spawn(*settings, "exabgp", str(self._config))

        async def listeners() -> str:
            return await self._daemon.ask("ss", "-Hltn", "sport", "=", "179")

        await eventually(listeners, lambda text: ROUTER in text and ROUTER_V6 in text)


def _told(attributes: dict[str, Any], next_hop: str) -> Told:
    return Told(
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
    """Provide a router that is not started yet, and clean up after it."""
    require(shutil.which("exabgp"), "ExaBGP")
    async with provided(ExaBgp, namespace) as router:
        yield router
