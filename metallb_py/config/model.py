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
from metallb_py.config.interfaces import matches_interface
from metallb_py.config.selectors import LabelSelector
from metallb_py.config.tenancy import EVERYBODY, Tenancy

Community = NewType("Community", int)
"""A BGP community (RFC 1997) as its 32-bit value: ``64512:1`` is ``64512 << 16 | 1``."""


class Protocol(StrEnum):
    """How the addresses of a pool are made reachable."""

    LAYER2 = "layer2"
    BGP = "bgp"


@dataclass(frozen=True, slots=True)
class BgpAdvertisement:
    """One way to advertise an address: aggregated to a length, with these attributes."""

    aggregation_length: int = 32
    aggregation_length_v6: int = 128
    local_pref: int = 0
    communities: frozenset[Community] = frozenset()


@dataclass(frozen=True, slots=True)
class Pool:
    """A named set of addresses that services get theirs from.

    ``cidrs`` are in the order in which addresses are given out. A pool that is ``draining`` left
    the configuration; services keep what they have from it, and nothing new is taken.
    ``tenancy`` and ``priority`` matter when an address is given out, and never take one away: the
    lowest priority comes first, and pools without one come last. For layer 2, ``interfaces`` (names
    or regular expressions) and ``node_selectors`` say who may answer; where empty, all may.
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


@dataclass(frozen=True, slots=True)
class Peer:
    """A BGP router to hold a session with. Times are in seconds; the password never prints."""

    my_asn: int
    peer_asn: int
    address: IPAddress
    port: int = 179
    hold_time: int = 90
    keepalive_time: int | None = None
    ebgp_multihop: bool = False
    router_id: IPAddress | None = None
    source_address: IPAddress | None = None
    node_selectors: tuple[LabelSelector, ...] = ()
    password: str = field(default="", repr=False)
    bfd_profile: str = ""

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels is to hold a session with this peer."""
        return selects(self.node_selectors, node_labels)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration."""

    pools: tuple[Pool, ...] = ()
    peers: tuple[Peer, ...] = ()
    bfd_profiles: tuple[BfdProfile, ...] = ()

    @property
    def selects_namespaces(self) -> bool:
        """Whether the labels of namespaces must be known to give out addresses."""
        return any(pool.tenancy.namespace_selectors for pool in self.pools)

    def pool_of(self, addresses: Iterable[IPAddress]) -> Pool | None:
        """Return the one pool that contains all these addresses, buggy ones included."""
        wanted = tuple(addresses)
        return next((p for p in self.pools if all(p.contains(a) for a in wanted)), None)


def is_buggy(address: IPAddress) -> bool:
    """Whether some equipment mistakes the address for a network or broadcast address.

    MetalLB's ``avoid-buggy-ips``: IPv4 addresses that end in .0 or .255.
    """
    return address.version == 4 and int(address) & 0xFF in (0, 0xFF)


def selects(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
    """Whether one of the selectors matches, or there are none."""
    return not selectors or any(selector.matches(labels) for selector in selectors)
