"""Eligibility of a node to advertise a service's addresses over BGP, and its reach of peers.

Eligibility depends on the service's endpoints; reach, whether at least one peer gets a route, on
the configuration and on the node's labels alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.model.config import Pool
from metallb_py.model.peers import Peer
from metallb_py.verdict import Checks, Verdict


def eligible(endpoints: ServiceEndpoints, node: str, *, local: bool) -> Verdict:
    """Decide whether a node advertises a service's addresses.

    Every node does while the service has a usable endpoint on any node; with
    ``externalTrafficPolicy: Local`` (``local``) only a node that has one itself.
    """
    checks = Checks()
    if not endpoints.usable:
        reason = "noLocalEndpoints" if local else "noEndpoints"
        return checks.failed("endpoints", reason, "no usable endpoint on any node")
    checks.passed("endpoints", f"{endpoints.usable} usable")
    if local and node not in endpoints.nodes:
        nodes = ", ".join(sorted(endpoints.nodes)) or "no node"
        return checks.failed("local endpoints", "noLocalEndpoints", f"its endpoints are on {nodes}")
    checks.passed("local endpoints")
    return checks.all_passed()


class Reach:
    """Lookup of the nodes that advertise a pool's addresses to at least one peer.

    An instance is valid for one set of peers and of nodes' labels, and caches its results.
    """

    __slots__ = ("_cache", "_peers")

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self._peers = tuple(peers)
        self._cache: dict[tuple[str, int, str], bool] = {}

    def has_peer(
        self, address: IPAddress, pool: Pool, node: str, labels: Mapping[str, str]
    ) -> bool:
        """Whether a node with these labels advertises an address of the pool to any peer."""
        key = (pool.name, address.version, node)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._has_peer(AddressFamily.of(address), pool, labels)
        return found

    def _has_peer(self, family: AddressFamily, pool: Pool, labels: Mapping[str, str]) -> bool:
        named_by_each = [each.peers for each in pool.bgp_advertisements if each.selects(labels)]
        if not named_by_each:
            return False
        to_all = frozenset() in named_by_each
        named = frozenset[str]().union(*named_by_each)
        return any(
            family in peer.session.address_families
            and (to_all or not named.isdisjoint((peer.name, str(peer.session.address or ""))))
            and peer.selects(labels)
            for peer in self._peers
        )
