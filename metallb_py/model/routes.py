"""BGP routes of each peer group, derived from the announced services.

Many advertisements and services may contribute to one prefix. It is advertised with their merged
attributes, which do not depend on their order; the weights of the services add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.config import BgpAdvertisement
from metallb_py.model.route_attributes import RouteAttributes, limit_communities, merge

PeerGroup = frozenset[str]
"""The names in advertisements that refer to a session. Equal groups receive the same routes."""

UNNAMED: PeerGroup = frozenset()
"""The group of the sessions to which no advertisement refers by name."""


@dataclass(frozen=True, slots=True)
class AdvertisedService:
    """The addresses of a service that this node announces, and their advertisements.

    ``local_endpoints`` is the number of endpoints on this node, if they alone receive the traffic
    that is sent to the node (``externalTrafficPolicy: Local``). Otherwise it is None: every node
    then distributes traffic over all endpoints, so all nodes have equal weight.
    """

    addresses: tuple[IPAddress, ...]
    advertisements: tuple[BgpAdvertisement, ...]
    local_endpoints: int | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """The attributes that one advertisement of a service contributes to a prefix."""

    attributes: RouteAttributes
    peers: frozenset[str] = frozenset()
    """Names or addresses of the peers that receive it; empty means all."""
    implied: bool = False
    """Whether it applies only to peers that none of the service's explicit ones reaches."""

    def reaches(self, group: PeerGroup) -> bool:
        """Whether this peer group receives it."""
        return not self.peers or not self.peers.isdisjoint(group)


Contributions = tuple[Contribution, ...]
"""All contributions of one service to a prefix, without duplicates."""


def routes_for(
    services: Iterable[AdvertisedService], group: PeerGroup = UNNAMED
) -> Mapping[IPNetwork, RouteAttributes]:
    """Return the routes of a peer group: one for each prefix that the addresses aggregate to.

    A prefix is advertised while at least one service contributes to it.
    """
    counts: dict[IPNetwork, Counter[Contributions]] = {}
    for service in services:
        for prefix, contributions in contributions_of(service).items():
            counts.setdefault(prefix, Counter())[contributions] += 1
    routes = {prefix: attributes_for(group, each) for prefix, each in counts.items()}
    return {prefix: merged for prefix, merged in routes.items() if merged is not None}


def attributes_for(group: PeerGroup, counts: Mapping[Contributions, int]) -> RouteAttributes | None:
    """Return the attributes with which a prefix is advertised to a peer group, None if it is not.

    ``counts`` is the number of services with each contribution. The communities of a configuration
    fit into one message; with draining pools they may not; the excess is dropped.
    """
    selected = [
        (merge(chosen), number)
        for contributions, number in counts.items()
        if (chosen := _select(contributions, group))
    ]
    if not selected:
        return None
    merged = merge(each for each, _ in selected)
    weights = [each.weight * number for each, number in selected if each.weight is not None]
    weight = sum(weights) if weights else None
    if merged.weight != weight:
        merged = replace(merged, weight=weight)
    return limit_communities(merged)


def contributions_of(service: AdvertisedService) -> Mapping[IPNetwork, Contributions]:
    """Return the contributions of a service to each prefix that its addresses aggregate to.

    With ``externalTrafficPolicy: Local`` an aggregate would also attract a service's traffic to
    nodes that have no endpoint of it, only endpoints of other services. Each address therefore
    gets an implied host route beside the aggregate, with the same attributes.
    """
    local = service.local_endpoints
    found: dict[IPNetwork, list[Contribution]] = {}
    for advertisement in service.advertisements:
        attributes = advertisement.attributes
        if advertisement.weight_by_endpoints and local is not None:
            attributes = replace(attributes, weight=local)
        explicit = Contribution(attributes, advertisement.peers)
        implied = Contribution(attributes, advertisement.peers, implied=True)
        for address in service.addresses:
            prefix = aggregate(address, advertisement)
            found.setdefault(prefix, []).append(explicit)
            if local is not None and prefix.prefixlen < address.max_prefixlen:
                found.setdefault(_host(address), []).append(implied)
    return {prefix: tuple(dict.fromkeys(every)) for prefix, every in found.items()}


def names_in(advertisements: Iterable[BgpAdvertisement]) -> frozenset[str]:
    """Return the names and addresses of peers to which advertisements refer."""
    return frozenset().union(*(advertisement.peers for advertisement in advertisements))


def aggregate(address: IPAddress, advertisement: BgpAdvertisement) -> IPNetwork:
    """Return the prefix in which an advertisement advertises the address."""
    if address.version == 4:
        length = advertisement.aggregation_length
        return IPv4Network((_masked(int(address), 32 - length), length))
    length = advertisement.aggregation_length_v6
    return IPv6Network((_masked(int(address), 128 - length), length))


def _select(contributions: Contributions, group: PeerGroup) -> list[RouteAttributes]:
    """Return the attributes of the contributions that apply to a peer group."""
    reaching = [each for each in contributions if each.reaches(group)]
    explicit = [each for each in reaching if not each.implied]
    return [each.attributes for each in explicit or reaching]


def _host(address: IPAddress) -> IPNetwork:
    return IPv4Network(address) if address.version == 4 else IPv6Network(address)


def _masked(value: int, host_bits: int) -> int:
    return value >> host_bits << host_bits
