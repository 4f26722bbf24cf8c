"""The validated configuration: frozen records that are valid by construction.

Every front end compiles to this model; code that uses the model never reads raw text. Meanings
and defaults are those of MetalLB 0.12's ConfigMap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.interfaces import matches_interface
from metallb_py.model.pool_access import UNRESTRICTED, Tenancy
from metallb_py.model.prefix_index import PrefixIndex
from metallb_py.model.selectors import LabelSelector

Community = NewType("Community", int)
"""A BGP community (RFC 1997) as its 32-bit value: ``64512:1`` is ``64512 << 16 | 1``."""


LargeCommunity = tuple[int, int, int]
"""A large community (RFC 8092): three 32-bit numbers, the first of them an AS number."""


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
    local_pref: int = 0
    """LOCAL_PREF (RFC 4271 section 5.1.5)."""
    communities: frozenset[Community] = frozenset()
    """Communities (RFC 1997)."""
    large_communities: frozenset[LargeCommunity] = frozenset()
    """Large communities (RFC 8092)."""
    med: int | None = None
    """MULTI_EXIT_DISC (RFC 4271 section 5.1.4); None omits the attribute."""
    as_path_prepend: int = 0
    """Number of times that the own AS number is repeated in AS_PATH."""
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
class BfdProfile:
    """Parameters of Bidirectional Forwarding Detection (RFC 5880). Intervals are in milliseconds.

    None means "not set": the default of the BFD implementation.
    """

    name: str
    receive_interval: int | None = None
    """Shortest interval between received packets that this side supports, 10 to 60000 ms."""
    transmit_interval: int | None = None
    """Interval at which this side sends, 10 to 60000 ms."""
    detect_multiplier: int | None = None
    """Number of missing packets after which the session is down, 2 to 255."""
    echo_interval: int | None = None
    """Shortest interval between received echo packets, 10 to 60000 ms."""
    echo_mode: bool = False
    """Whether the echo function is offered to the peer."""
    passive_mode: bool = False
    """Whether this side waits for the peer's first packet (RFC 5880 section 6.1)."""
    minimum_ttl: int | None = None
    """Lowest TTL that a multihop session accepts, 1 to 254."""


class Origin(StrEnum):
    """The ORIGIN attribute of advertised routes (RFC 4271 section 5.1.1)."""

    IGP = "igp"
    EGP = "egp"
    INCOMPLETE = "incomplete"


class DynamicAsn(StrEnum):
    """The accepted AS numbers of a peer without a configured one: the own AS, or any other."""

    INTERNAL = "internal"
    EXTERNAL = "external"


class AddressFamily(StrEnum):
    """An address family of unicast routes, as written in the configuration."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


BOTH_FAMILIES = frozenset(AddressFamily)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """Reference to a value in a Secret of the daemons' own namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A BGP peer. Times are in seconds."""

    my_asn: int
    """Own AS number, 1 to 4294967295."""
    peer_asn: int
    """AS number of the peer; 0 only with ``dynamic_asn``."""
    address: IPAddress | None
    """Address of the peer; None only for an unnumbered one, at the other end of ``interface``."""
    port: int = 179
    """TCP port to connect to; 179 is BGP's (RFC 4271)."""
    hold_time: int = 90
    """Proposed hold time in seconds: 0 (no keepalives) or at least 3 (RFC 4271 section 4.2)."""
    keepalive_time: int | None = None
    """Seconds between KEEPALIVEs, limited to a third of the hold time; None means that limit."""
    ebgp_multihop: bool = False
    """Whether the peer is more than one hop away. Not for an internal peer."""
    router_id: IPAddress | None = None
    """BGP Identifier, a nonzero IPv4 address (RFC 6286); None derives one from the node."""
    source_address: IPAddress | None = None
    """Local address of the session, of the peer's family; None leaves the choice to the kernel."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Selectors of the nodes that hold a session with the peer; empty means all."""
    password: str = field(default="", repr=False)
    """Key of the TCP MD5 signature option (RFC 2385), up to 80 bytes; never printed."""
    bfd_profile: str = ""
    """Name of the BFD profile that monitors the peer; empty for none."""
    name: str = ""
    """Name by which advertisements refer to the peer; unique if set."""
    interface: str = ""
    """Interface of the link to an unnumbered or link-local peer."""
    dynamic_asn: DynamicAsn | None = None
    """Accepted AS numbers, in place of ``peer_asn``."""
    local_asn: int = 0
    """AS number that replaces ``my_asn`` towards this peer (external only); 0 for none."""
    origin: Origin = Origin.INCOMPLETE
    """ORIGIN of the routes sent to the peer."""
    passive: bool = False
    """Whether to wait for the peer's connection and never open one."""
    ttl_security: int | None = None
    """Greatest number of hops to the peer (GTSM, RFC 5082), 1 to 254; None disables the check."""
    connect_time: int | None = None
    """Seconds between attempts to connect, 1 to 65535; None means exponential backoff."""
    graceful_restart: bool = False
    """Whether the peer is asked to retain routes while the speaker restarts (RFC 4724)."""
    password_secret: SecretKey | None = None
    """Secret that contains the password, in place of ``password``."""
    address_families: frozenset[AddressFamily] = BOTH_FAMILIES
    """Address families to offer in the OPEN message."""
    next_hops: tuple[IPAddress, ...] = ()
    """Next hops in place of the session's own addresses, at most one of each family."""

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels holds a session with this peer."""
        return selects(self.node_selectors, node_labels)


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


def selects(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
    """Whether at least one of the selectors matches, or the list is empty."""
    return not selectors or any(selector.matches(labels) for selector in selectors)
