"""Whether any BGP peer gets a route to an address from a node, by configuration and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metallb_py.addresses import IPAddress
from metallb_py.model.config import AddressFamily, Peer, Pool

_FAMILIES = {4: AddressFamily.IPV4, 6: AddressFamily.IPV6}


class Reach:
    """Which nodes advertise the addresses of which pools to at least one of the peers.

    It is about one set of peers and of nodes' labels, and keeps what it has worked out.
    """

    __slots__ = ("_known", "_peers")

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self._peers = tuple(peers)
        self._known: dict[tuple[str, int, str], bool] = {}

    def has_peer(
        self, address: IPAddress, pool: Pool, node: str, labels: Mapping[str, str]
    ) -> bool:
        """Whether a node with these labels advertises an address of the pool to any peer."""
        key = (pool.name, address.version, node)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._has_peer(_FAMILIES[address.version], pool, labels)
        return known

    def _has_peer(self, family: AddressFamily, pool: Pool, labels: Mapping[str, str]) -> bool:
        audiences = [each.peers for each in pool.bgp_advertisements if each.selects(labels)]
        if not audiences:
            return False
        to_all = frozenset() in audiences
        named = frozenset[str]().union(*audiences)
        return any(
            family in peer.address_families
            and (to_all or not named.isdisjoint((peer.name, str(peer.address or ""))))
            and peer.selects(labels)
            for peer in self._peers
        )
