"""The validated configuration: frozen, and true by construction.

Every front end compiles to this model; nothing behind it ever sees raw text. Meanings and
defaults are those of MetalLB 0.12's ConfigMap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.interfaces import matches_interface
from metallb_py.model.pool_access import EVERYBODY, Tenancy
from metallb_py.model.prefix_index import PrefixIndex
from metallb_py.model.selectors import LabelSelector

Community = NewType("Community", int)
"""A BGP community (RFC 1997) as its 32-bit value: ``64512:1`` is ``64512 << 16 | 1``."""


LargeCommunity = tuple[int, int, int]
"""A large community (RFC 8092): three 32-bit numbers, the first of them an AS number."""


class Protocol(StrEnum):
    """How the addresses of a pool are made reachable."""

    LAYER2 = "layer2"
    BGP = "bgp"


@dataclass(frozen=True, slots=True)
class BgpAdvertisement:
    """One way to advertise an address: aggregated to a length, with these attributes.

    ``peers`` are names or addresses of those that are told, ``node_selectors`` say which nodes
    tell it; where empty, all are meant. ``as_path_prepend`` is how often the own AS number is
    repeated. With ``weight_by_endpoints`` a node says how many ready endpoints it has.
    """

    aggregation_length: int = 32
    aggregation_length_v6: int = 128
    local_pref: int = 0
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    med: int | None = None
    as_path_prepend: int = 0
    weight_by_endpoints: bool = False
    peers: frozenset[str] = frozenset()
    node_selectors: tuple[LabelSelector, ...] = ()

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels advertises so."""
        return selects(self.node_selectors, node_labels)


@dataclass(frozen=True, slots=True)
class Pool:
    """A named set of addresses that services get theirs from.

    ``cidrs`` are in the order in which addresses are given out. A pool that is ``draining`` left
    the configuration; services keep what they have from it, and nothing new is taken.
    ``tenancy`` and ``priority`` matter when an address is given out, and never take one away: pools
    with one of them come first, of these the lowest priority, and 0 is none. For layer 2,
    ``interfaces`` (names or regular expressions) and ``node_selectors`` say who may answer; where
    empty, all may.
    """

    name: str
    protocol: Protocol
    cidrs: tuple[IPNetwork, ...]
    avoid_buggy_ips: bool = False
    auto_assign: bool = True
    bgp_advertisements: tuple[BgpAdvertisement, ...] = ()
    draining: bool = False
    tenancy: Tenancy = EVERYBODY
    priority: int | None = None
    interfaces: tuple[str, ...] = ()
    node_selectors: tuple[LabelSelector, ...] = ()

    def contains(self, address: IPAddress) -> bool:
        """Whether the address lies in the pool, be it allocatable or not."""
        return any(address in cidr for cidr in self.cidrs)

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels may answer for the pool's addresses."""
        return selects(self.node_selectors, node_labels)

    def uses_interface(self, name: str) -> bool:
        """Whether an interface of this name may answer for the pool's addresses."""
        return matches_interface(self.interfaces, name)

    def allocatable(self, address: IPAddress) -> bool:
        """Whether the address may be given to a service."""
        return self.contains(address) and not (self.avoid_buggy_ips and is_buggy(address))


@dataclass(frozen=True, slots=True)
class BfdProfile:
    """Timers of Bidirectional Forwarding Detection (RFC 5880). Intervals are in milliseconds.

    ``None`` stands for "not set": the BFD implementation's own default.
    """

    name: str
    receive_interval: int | None = None
    transmit_interval: int | None = None
    detect_multiplier: int | None = None
    echo_interval: int | None = None
    echo_mode: bool = False
    passive_mode: bool = False
    minimum_ttl: int | None = None


class Origin(StrEnum):
    """Where routes are said to come from (RFC 4271 section 5.1.1)."""

    IGP = "igp"
    EGP = "egp"
    INCOMPLETE = "incomplete"


class DynamicAsn(StrEnum):
    """Which AS a peer may be of, where its number is not configured."""

    INTERNAL = "internal"
    EXTERNAL = "external"


class AddressFamily(StrEnum):
    """Unicast routes of one IP version."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


BOTH_FAMILIES = frozenset(AddressFamily)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A value in a Secret of the daemons' own namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A BGP router to hold a session with. Times are in seconds; the password never prints.

    ``address`` is None only for an unnumbered peer: whoever is at the other end of ``interface``.
    ``peer_asn`` is 0 only where ``dynamic_asn`` says who may come. ``local_asn`` stands in for
    ``my_asn`` towards this peer; 0 means none does. ``ttl_security`` is how many hops away the
    peer may be (RFC 5082); None leaves that open. ``next_hops`` are at most one of each family,
    and count instead of the session's own addresses. ``name`` is what advertisements call it.
    """

    my_asn: int
    peer_asn: int
    address: IPAddress | None
    port: int = 179
    hold_time: int = 90
    keepalive_time: int | None = None
    ebgp_multihop: bool = False
    router_id: IPAddress | None = None
    source_address: IPAddress | None = None
    node_selectors: tuple[LabelSelector, ...] = ()
    password: str = field(default="", repr=False)
    bfd_profile: str = ""
    name: str = ""
    interface: str = ""
    dynamic_asn: DynamicAsn | None = None
    local_asn: int = 0
    origin: Origin = Origin.INCOMPLETE
    passive: bool = False
    ttl_security: int | None = None
    connect_time: int | None = None
    graceful_restart: bool = False
    password_secret: SecretKey | None = None
    address_families: frozenset[AddressFamily] = BOTH_FAMILIES
    next_hops: tuple[IPAddress, ...] = ()

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels is to hold a session with this peer."""
        return selects(self.node_selectors, node_labels)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration."""

    pools: tuple[Pool, ...] = ()
    peers: tuple[Peer, ...] = ()
    bfd_profiles: tuple[BfdProfile, ...] = ()
    _index: PrefixIndex = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Here, so that it is made where the configuration is: off the event loop.
        object.__setattr__(self, "_index", PrefixIndex(pool.cidrs for pool in self.pools))

    @property
    def selects_namespaces(self) -> bool:
        """Whether the labels of namespaces must be known to give out addresses."""
        return any(pool.tenancy.namespace_selectors for pool in self.pools)

    def pools_not_in(self, other: Config) -> tuple[Pool, ...]:
        """Return the pools that another configuration has not, or has otherwise."""
        theirs = {pool.name: pool for pool in other.pools}
        return tuple(pool for pool in self.pools if theirs.get(pool.name) != pool)

    def pool_of(self, addresses: Iterable[IPAddress]) -> Pool | None:
        """Return the one pool that contains all these addresses, buggy ones included."""
        return next(iter(self.pools_of(addresses)), None)

    def pools_of(self, addresses: Iterable[IPAddress]) -> tuple[Pool, ...]:
        """Return every pool that contains all these addresses: more than one while pools drain."""
        return tuple(self.pools[number] for number in self._index.containing_all(addresses))


def is_buggy(address: IPAddress) -> bool:
    """Whether some equipment mistakes the address for a network or broadcast address.

    MetalLB's ``avoid-buggy-ips``: IPv4 addresses that end in .0 or .255.
    """
    return address.version == 4 and int(address) & 0xFF in (0, 0xFF)


def selects(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
    """Whether one of the selectors matches, or there are none."""
    return not selectors or any(selector.matches(labels) for selector in selectors)
