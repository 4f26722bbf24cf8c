"""Endpoints as weights: next hops in FRR, weights in its kernel, and the split of connections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from math import sqrt
from typing import Any

import pytest
from support.bgp.frr import Frr, frr
from support.bgp.weighted_node import ADDRESSES, PORT, WeightedNode, weighted_node
from support.net.multipath import Paths, paths
from support.net.waiting import eventually

pytestmark = pytest.mark.interop

CONNECTIONS = 600
SURE = 4.0
"""Standard deviations: one run in 16,000 exceeds them at random."""


def router_config(made: Paths) -> str:
    """Configure bgpd for weighted multipath over both nodes, which are of different ASes."""
    lines = [
        "router bgp 64513",
        " bgp router-id 10.9.9.9",
        " no bgp ebgp-requires-policy",
        " bgp bestpath as-path multipath-relax",
    ]
    hosts = [made.node_addresses(number) for number in (1, 2)]
    for number, addresses in enumerate(hosts, 1):
        for address in addresses:
            lines += [f" neighbor {address} remote-as 6460{number}", f" neighbor {address} passive"]
    lines += [" address-family ipv4 unicast", "  maximum-paths 4"]
    lines += [f"  no neighbor {v6} activate" for _, v6 in hosts]
    lines += [" exit-address-family", " address-family ipv6 unicast", "  maximum-paths 4"]
    lines += [f"  neighbor {v6} activate" for _, v6 in hosts]
    return "\n".join((*lines, " exit-address-family", ""))


def node_config(made: Paths, number: int) -> str:
    """Configure a node with a session in each family, and endpoints as weights."""
    peers = "".join(
        f"- {{peer-address: '{address}', peer-asn: 64513, my-asn: 6460{number}}}\n"
        for address in made.router_addresses(number)
    )
    return (
        f"peers:\n{peers}"
        "address-pools:\n"
        "- name: p\n"
        "  protocol: bgp\n"
        "  addresses: [192.0.2.0/24, '2001:db8::/64']\n"
        "  bgp-advertisements: [weight-by-endpoints: true]\n"
    )


class Cluster:
    """The router and its nodes."""

    def __init__(self, made: Paths, router: Frr, nodes: list[WeightedNode]) -> None:
        self.paths = made
        self._router = router
        self._nodes = nodes

    def place(self, **endpoints: int) -> None:
        """Set the number of endpoints on each of these nodes."""
        for node in self._nodes:
            node.place(**endpoints)

    async def kernel_weights(self, address: str) -> dict[str, int]:
        """Return the weights of the route's next hops in the router's kernel, by node."""
        family = "-6" if ":" in address else "-4"
        text = await self._router.in_namespace("ip", family, "-json", "route", "show", address)
        routes: list[dict[str, Any]] = json.loads(text or "[]")
        hops = [hop for route in routes for hop in route.get("nexthops", [])]
        devices = {f"eth{number}": f"node{number}" for number in (1, 2)}
        return {devices[hop["dev"]]: hop["weight"] for hop in hops}

    async def check_split(self, address: str, one: int, other: int) -> None:
        """Wait until the kernel has the weights, and check the split of connections."""
        await eventually(
            lambda: self.kernel_weights(address),
            lambda weights: len(weights) == 2 and _is_about(weights, one / other),
        )
        share = one / (one + other)
        expected = CONNECTIONS * share
        spread = SURE * sqrt(CONNECTIONS * share * (1 - share))
        counts = await self.paths.connect(address, PORT, CONNECTIONS)
        assert counts.total() == CONNECTIONS
        assert expected - spread <= counts["node1"] <= expected + spread, counts


def _is_about(weights: dict[str, int], ratio: float) -> bool:
    """Whether the weights have this ratio; those of zebra are percentages, rounded."""
    return abs(weights["node1"] / weights["node2"] - ratio) < 0.1


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        made = stack.enter_context(paths(ADDRESSES))
        router = await stack.enter_async_context(frr(made.router))
        await router.start(router_config(made))
        nodes = [
            await stack.enter_async_context(
                weighted_node(namespace, f"node{number}", node_config(made, number))
            )
            for number, namespace in enumerate(made.nodes, 1)
        ]
        yield Cluster(made, router, nodes)


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_node_with_two_endpoints_gets_twice_the_connections(
    cluster: Cluster, address: str
) -> None:
    cluster.place(node1=2, node2=1)
    await cluster.check_split(address, 2, 1)
    cluster.place(node1=1, node2=1)
    await cluster.check_split(address, 1, 1)
    cluster.place(node1=1, node2=3)
    await cluster.check_split(address, 1, 3)
