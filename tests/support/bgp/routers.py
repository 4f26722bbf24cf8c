"""FRR and BIRD as a ``Router``, and the table of all four routers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.bgp.bird import Bird, bird
from support.bgp.exabgp import exabgp
from support.bgp.frr import Frr, frr
from support.bgp.gobgp import gobgp
from support.bgp.router import ReceivedRoute, Router, RouterSession
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6
from support.net.waiting import eventually

HOST = "192.0.2.1/32"
HOST_V6 = "2001:db8::1/128"

RouterOf = Callable[[str], contextlib.AbstractAsyncContextManager[Router]]

_WELL_KNOWN = {
    "graceful-shutdown": (0xFFFF, 0),
    "no-export": (0xFFFF, 0xFF01),
    "no-advertise": (0xFFFF, 0xFF02),
}
_FRR_NOTIFIED = re.compile(r"%NOTIFICATION: received from neighbor (\S+) (\d+)/(\d+)")
_BIRD_NOTIFICATIONS = {
    "Bad peer AS": (2, 2),
    "Administrative shutdown": (6, 2),
    "Peer de-configured": (6, 3),
}
_BIRD_LOCAL_PREF = "100"
"""The value that BIRD gives to a route received without LOCAL_PREF."""


class FrrRouter:
    """FRR as a ``Router``."""

    def __init__(self, router: Frr) -> None:
        self._frr = router

    async def start(self, parameters: RouterSession) -> None:
        neighbors = [
            f" neighbor {node} {option}"
            for node in (NODE, NODE_V6)
            for option in (
                f"remote-as {parameters.node_asn}",
                "passive",
                *([f"password {parameters.password}"] if parameters.password else []),
                *(["capability extended-nexthop"] if parameters.extended_next_hop else []),
            )
        ]
        lines = [
            f"router bgp {parameters.asn}",
            " bgp router-id 10.9.9.9",
            " bgp log-neighbor-changes",
            " no bgp ebgp-requires-policy",
            *neighbors,
            f" address-family ipv4 unicast\n  neighbor {NODE_V6} activate\n exit-address-family",
            " address-family ipv6 unicast",
            f"  neighbor {NODE} activate\n  neighbor {NODE_V6} activate\n exit-address-family",
        ]
        await self._frr.start("\n".join(lines) + "\n")

    async def restart(self) -> None:
        await self._frr.restart_bgpd()

    async def received_route(self, prefix: str) -> ReceivedRoute | None:
        path = await self._frr.route(prefix, "ipv6" if ":" in prefix else "ipv4")
        return _parse_frr_path(path) if path else None

    async def prefixes(self) -> set[str]:
        return await self._frr.prefixes("ipv4") | await self._frr.prefixes("ipv6")

    async def established_count(self, address: str) -> int:
        established: int = (await self._frr.neighbor(address))["connectionsEstablished"]
        return established

    async def notification(self, address: str) -> tuple[int, int] | None:
        found = [m for m in _FRR_NOTIFIED.findall(self._frr.log()) if m[0] == address]
        return (int(found[-1][1]), int(found[-1][2])) if found else None


class BirdRouter:
    """BIRD as a ``Router``; its sessions are named ``four`` and ``six``."""

    def __init__(self, router: Bird) -> None:
        self._bird = router

    async def start(self, parameters: RouterSession) -> None:
        password = f'password "{parameters.password}";' if parameters.password else ""
        extended = "extended next hop on;" if parameters.extended_next_hop else ""
        sessions = "".join(
            f"""
protocol bgp {name} {{
    debug {{ states, events }};
    local {ours} as {parameters.asn};
    neighbor {theirs} as {parameters.node_asn};
    passive;
    error wait time 1, 1;
    {password}
    ipv4 {{ import all; export none; {extended} }};
    ipv6 {{ import all; export none; }};
}}"""
            for name, ours, theirs in (("four", ROUTER, NODE), ("six", ROUTER_V6, NODE_V6))
        )
        head = f'log "{self._bird.log_file}" all;\nrouter id 10.9.9.9;\nprotocol device {{}}'
        await self._bird.start(head + sessions)

    async def restart(self) -> None:
        await self._bird.restart()

    async def received_route(self, prefix: str) -> ReceivedRoute | None:
        attributes = await self._bird.route(prefix)
        return _parse_bird_route(attributes) if attributes else None

    async def prefixes(self) -> set[str]:
        return await self._bird.prefixes()

    async def established_count(self, address: str) -> int:
        return len(re.findall(rf"{_name(address)}: State changed to up", self._log()))

    async def notification(self, address: str) -> tuple[int, int] | None:
        texts: list[str] = re.findall(rf"{_name(address)}: Received: (.*)", self._log())
        return _BIRD_NOTIFICATIONS[texts[-1]] if texts else None

    def _log(self) -> str:
        return self._bird.log_file.read_text()


def _name(address: str) -> str:
    return "six" if ":" in address else "four"


def _parse_frr_path(path: dict[str, Any]) -> ReceivedRoute:
    communities: list[str] = path.get("community", {}).get("string", "").split()
    large: list[str] = path.get("largeCommunity", {}).get("string", "").split()
    return ReceivedRoute(
        next_hop=path["nexthops"][0]["ip"],
        as_path=tuple(asn for part in path["aspath"]["segments"] for asn in part["list"]),
        origin=path["origin"].lower(),
        local_pref=path.get("locPrf"),
        med=path.get("metric"),
        communities=frozenset(_WELL_KNOWN.get(each) or _pair(each) for each in communities),
        large_communities=frozenset(map(_triple, large)),
    )


def _parse_bird_route(attributes: dict[str, str]) -> ReceivedRoute:
    local_pref = attributes["local_pref"]
    pairs = re.findall(r"\((\d+),\s?(\d+)\)", attributes.get("community", ""))
    triples = re.findall(r"\((\d+), (\d+), (\d+)\)", attributes.get("large_community", ""))
    return ReceivedRoute(
        next_hop=attributes["next_hop"].split()[0],
        as_path=tuple(map(int, attributes["as_path"].split())),
        origin=attributes["origin"].lower(),
        local_pref=None if local_pref == _BIRD_LOCAL_PREF else int(local_pref),
        med=int(attributes["med"]) if "med" in attributes else None,
        communities=frozenset((int(high), int(low)) for high, low in pairs),
        large_communities=frozenset((int(a), int(b), int(c)) for a, b, c in triples),
    )


def _pair(text: str) -> tuple[int, int]:
    high, low = map(int, text.split(":"))
    return high, low


def _triple(text: str) -> tuple[int, int, int]:
    admin, one, two = map(int, text.split(":"))
    return admin, one, two


@contextlib.asynccontextmanager
async def _frr(namespace: str) -> AsyncIterator[Router]:
    async with frr(namespace) as router:
        yield FrrRouter(router)


@contextlib.asynccontextmanager
async def _bird(namespace: str) -> AsyncIterator[Router]:
    async with bird(namespace) as router:
        yield BirdRouter(router)


async def learned(router: Router, prefix: str = HOST) -> ReceivedRoute:
    """Wait until a router has a route for a prefix; return it."""
    route = await eventually(lambda: router.received_route(prefix), bool)
    assert route is not None
    return route


ROUTERS: dict[str, RouterOf] = {"frr": _frr, "bird": _bird, "gobgp": gobgp, "exabgp": exabgp}
