"""GoBGP in a namespace, queried with its command-line client."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator
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
from support.net.router_link import NODE, NODE_V6
from support.net.waiting import eventually

_NEIGHBOR = """
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{address}"
    peer-as = {asn}
    auth-password = "{password}"
  [neighbors.timers.config]
    idle-hold-time-after-reset = 1
  [neighbors.transport.config]
    passive-mode = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
"""
_ORIGINS = ("igp", "egp", "incomplete")
_ORIGIN, _AS_PATH, _NEXT_HOP, _MED, _LOCAL_PREF = 1, 2, 3, 4, 5
_COMMUNITIES, _MP_REACH, _LARGE_COMMUNITIES = 8, 14, 32


class GoBgp(DaemonRouter):
    """GoBGP as a ``Router``."""

    def __init__(self, namespace: str, directory: Path) -> None:
        super().__init__(Daemon(namespace, directory / "gobgpd.log"))
        self._config = directory / "gobgpd.toml"

    async def start(self, parameters: RouterSession) -> None:
        neighbors = (
            _NEIGHBOR.format(address=address, asn=parameters.node_asn, password=parameters.password)
            for address in (NODE, NODE_V6)
        )
        head = f'[global.config]\n  as = {parameters.asn}\n  router-id = "10.9.9.9"\n'
        self._config.write_text(head + "".join(neighbors))
        await self._spawn()

    async def received_route(self, prefix: str) -> ReceivedRoute | None:
        paths = (await self._table("ipv6" if ":" in prefix else "ipv4")).get(prefix)
        return None if not paths else _parse_route(paths[0]["attrs"])

    async def prefixes(self) -> set[str]:
        return {*await self._table("ipv4"), *await self._table("ipv6")}

    async def established_count(self, address: str) -> int:
        return len(self._log_entries("Peer Up", address))

    async def notification(self, address: str) -> tuple[int, int] | None:
        entries = self._log_entries("received notification", address)
        return None if not entries else (entries[-1]["Code"], entries[-1]["Subcode"])

    async def _table(self, family: str) -> dict[str, list[dict[str, Any]]]:
        text = await self._daemon.output_of("gobgp", "global", "rib", "-a", family, "-j")
        table: dict[str, list[dict[str, Any]]] = json.loads(text)
        return table

    def _log_entries(self, message: str, address: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self._daemon.log)
        return [line for line in lines if line["msg"] == message and line["Key"] == address]

    async def _spawn(self) -> None:
        await self._daemon.spawn(
            "gobgpd", "-f", str(self._config), "--api-hosts", "127.0.0.1:50051"
        )

        async def neighbors() -> str:
            return await self._daemon.output_of("gobgp", "neighbor", "-j")

        await eventually(neighbors, lambda text: NODE in text and NODE_V6 in text)


def _parse_route(attributes: list[dict[str, Any]]) -> ReceivedRoute:
    by_type = {each["type"]: each for each in attributes}
    next_hop = by_type.get(_MP_REACH, by_type.get(_NEXT_HOP, {}))
    segments = by_type.get(_AS_PATH, {}).get("as_paths", ())
    large = by_type.get(_LARGE_COMMUNITIES, {}).get("value", ())
    return ReceivedRoute(
        next_hop=next_hop["nexthop"],
        as_path=tuple(asn for segment in segments for asn in segment["asns"]),
        origin=_ORIGINS[by_type[_ORIGIN].get("value", 0)],
        local_pref=by_type.get(_LOCAL_PREF, {}).get("value"),
        med=by_type.get(_MED, {}).get("metric"),
        communities=frozenset(
            divmod(value, 1 << 16) for value in by_type.get(_COMMUNITIES, {}).get("communities", ())
        ),
        large_communities=frozenset(
            (each["ASN"], each["LocalData1"], each["LocalData2"]) for each in large
        ),
    )


@contextlib.asynccontextmanager
async def gobgp(namespace: str) -> AsyncIterator[GoBgp]:
    """Provide a router that is not started yet; stop it at the end."""
    require(None not in (shutil.which("gobgpd"), shutil.which("gobgp")), "GoBGP")
    async with provided(GoBgp, namespace) as router:
        yield router
