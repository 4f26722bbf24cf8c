"""The validated configuration: frozen records that are valid by construction.

Every front end compiles to this model; code that uses the model never reads raw text. Meanings
and defaults are those of MetalLB 0.12's ConfigMap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.patterns import matches_interface
from metallb_py.model.peers import BfdProfile, Peer
from metallb_py.model.pool_access import UNRESTRICTED, Tenancy
from metallb_py.model.prefix_index import PrefixIndex
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.model.selectors import LabelSelector, selects


class Protocol(StrEnum):
    """The protocol that makes the addresses of a pool reachable."""

    LAYER2 = "layer2"
    BGP = "bgp"


@dataclass(frozen=True, slots=True)
class BgpAdvertisement:
    """One way to advertise an address: the aggregation length and the path attributes."""

    aggregation_length: int = 32
    """Prefix length of an IPv4 route, 0 to 32. The default is a host route."""
    aggregation_length_v6: int = 128
    """Prefix length of an IPv6 route, 0 to 128. The default is a host route."""
    attributes: RouteAttributes = field(default_factory=RouteAttributes)
    """Path attributes; without the weight, which depends on the node and the service."""
    weight_by_endpoints: bool = False
    """Whether a node advertises its number of ready endpoints."""
    peers: frozenset[str] = frozenset()
    """Names or addresses of the peers that receive it; empty means all."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Selectors of the nodes that send it; empty means all."""

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels sends this advertisement."""
        return selects(self.node_selectors, node_labels)


@dataclass(frozen=True, slots=True)
class Pool:
    """A named set of addresses that are assigned to services.

    ``tenancy`` and ``priority`` apply when an address is assigned and never take one away. Pools
    that have either are tried before all others.
    """

    name: str
    protocol: Protocol
    cidrs: tuple[IPNetwork, ...]
    """Blocks of addresses, in the order of allocation."""
    avoid_buggy_ips: bool = False
    """Whether addresses for which ``is_buggy`` holds are not assigned."""
    auto_assign: bool = True
    """Whether a service may get an address from it without a request for the pool or address."""
    bgp_advertisements: tuple[BgpAdvertisement, ...] = ()
    """Advertisements of each address, for BGP pools; empty for layer 2."""
    draining: bool = False
    """Whether the pool left the configuration: services keep their addresses, none is assigned."""
    tenancy: Tenancy = UNRESTRICTED
    """Services that may get an address from it."""
    priority: int | None = None
    """Rank among the pools with a tenancy or priority: the lowest first. 0 and None are last."""
    interfaces: tuple[str, ...] = ()
    """Interfaces that may answer (layer 2): names or regular expressions; empty means all."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Selectors of the nodes that may answer (layer 2); empty means all."""

    def contains(self, address: IPAddress) -> bool:
        """Whether the address is in the pool, allocatable or not."""
        return any(address in cidr for cidr in self.cidrs)

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels may answer for the pool's addresses."""
        return selects(self.node_selectors, node_labels)

    def uses_interface(self, name: str) -> bool:
        """Whether an interface of this name may answer for the pool's addresses."""
        return matches_interface(self.interfaces, name)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration."""

    pools: tuple[Pool, ...] = ()
    peers: tuple[Peer, ...] = ()
    bfd_profiles: tuple[BfdProfile, ...] = ()
    _index: PrefixIndex = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Built here, because the configuration is compiled outside of the event loop.
        object.__setattr__(self, "_index", PrefixIndex(pool.cidrs for pool in self.pools))

    @property
    def selects_namespaces(self) -> bool:
        """Whether the assignment of addresses depends on the labels of namespaces."""
        return any(pool.tenancy.namespace_selectors for pool in self.pools)

    def pools_not_in(self, other: Config) -> tuple[Pool, ...]:
        """Return the pools that another configuration lacks or defines differently."""
        other_pools = {pool.name: pool for pool in other.pools}
        return tuple(pool for pool in self.pools if other_pools.get(pool.name) != pool)

    def pool_of(self, addresses: Iterable[IPAddress]) -> Pool | None:
        """Return the pool that contains all these addresses, buggy ones included, or None."""
        return next(iter(self.pools_of(addresses)), None)

    def pools_of(self, addresses: Iterable[IPAddress]) -> tuple[Pool, ...]:
        """Return every pool that contains all these addresses; several only while pools drain."""
        return tuple(self.pools[number] for number in self._index.containing_all(addresses))


def is_buggy(address: IPAddress) -> bool:
    """Whether some equipment treats the address as a network or broadcast address.

    MetalLB's ``avoid-buggy-ips``: IPv4 addresses that end in .0 or .255.
    """
    return address.version == 4 and int(address) & 0xFF in (0, 0xFF)
