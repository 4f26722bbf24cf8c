"""BGP routes of each peer group, derived from the announced services.

Many advertisements and services may contribute to one prefix. The merged route does not depend on
their order: it has the highest local preference, all communities, the lowest MED (none only if no
contribution has one), the shortest AS path, and the sum of the services' weights. The highest
local preference and the lowest MED are those that a router would prefer among separate routes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.config import BgpAdvertisement, Community, LargeCommunity

MAX_COMMUNITY_BYTES = 3600
"""Maximum size of a route's communities, in bytes of the 4096 of a message (RFC 4271).

The rest is enough for an AS path of 17 numbers, in both of its encodings (RFC 6793), a link
bandwidth, two next hops (RFC 2545) and the longest prefix.
"""

PeerGroup = frozenset[str]
"""The names in advertisements that refer to a session. Equal groups receive the same routes."""

UNNAMED: PeerGroup = frozenset()
"""The group of the sessions to which no advertisement refers by name."""


@dataclass(frozen=True, slots=True)
class Route:
    """A prefix to advertise, with its merged attributes.

    Communities are sorted, so that routes with the same ones compare equal.
    """

    prefix: IPNetwork
    local_pref: int = 0
    """LOCAL_PREF, sent to internal peers only."""
    communities: tuple[Community, ...] = ()
    """Communities (RFC 1997), in ascending order."""
    large_communities: tuple[LargeCommunity, ...] = ()
    """Large communities (RFC 8092), in ascending order."""
    med: int | None = None
    """MULTI_EXIT_DISC; None omits the attribute."""
    as_path_prepend: int = 0
    """Number of times that the own AS number is repeated in AS_PATH."""
    weight: int | None = None
    """Number of ready endpoints on this node; None if it is not advertised."""


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
class PrefixAttributes:
    """The attributes that one advertisement contributes to a prefix."""

    local_pref: int = 0
    """LOCAL_PREF."""
    communities: frozenset[Community] = frozenset()
    """Communities (RFC 1997)."""
    large_communities: frozenset[LargeCommunity] = frozenset()
    """Large communities (RFC 8092)."""
    med: int | None = None
    """MULTI_EXIT_DISC, None without one."""
    as_path_prepend: int = 0
    """Number of times that the own AS number is repeated in AS_PATH."""
    weight: int | None = None
    """Number of the service's ready endpoints on this node, None without a weight."""
    peers: frozenset[str] = frozenset()
    """Names or addresses of the peers that receive it; empty means all."""
    implied: bool = False
    """Whether it applies only to peers that none of the service's explicit ones reaches."""

    @property
    def community_size(self) -> int:
        """The size of the communities in a message, in bytes."""
        return 4 * len(self.communities) + 12 * len(self.large_communities)

    def reaches(self, group: PeerGroup) -> bool:
        """Whether this peer group receives it."""
        return not self.peers or not self.peers.isdisjoint(group)


Contribution = tuple[PrefixAttributes, ...]
"""All attributes that one service contributes to a prefix, without duplicates."""


def routes_for(
    services: Iterable[AdvertisedService], group: PeerGroup = UNNAMED
) -> frozenset[Route]:
    """Return the routes of a peer group: one for each prefix that the addresses aggregate to.

    A prefix is advertised while at least one service contributes to it.
    """
    routes = (
        route(prefix, counts, group) for prefix, counts in contributions_by_prefix(services).items()
    )
    return frozenset(each for each in routes if each is not None)


def route(prefix: IPNetwork, counts: Mapping[Contribution, int], group: PeerGroup) -> Route | None:
    """Return the route of a prefix for a peer group; None if no contribution reaches the group.

    ``counts`` is the number of services with each contribution. The communities of a configuration
    fit into ``MAX_COMMUNITY_BYTES``; with draining pools they may exceed it; the excess is dropped.
    """
    selected = [
        (each, n)
        for contribution, n in counts.items()
        if (each := _select(contribution, group)) is not None
    ]
    if not selected:
        return None
    weights = [each.weight * n for each, n in selected if each.weight is not None]
    merged = merge([each for each, _ in selected])
    # The highest ones are kept, because the well-known ones, such as NO_EXPORT, are among them.
    communities = sorted(merged.communities)[-(MAX_COMMUNITY_BYTES // 4) :]
    left = MAX_COMMUNITY_BYTES - 4 * len(communities)
    return Route(
        prefix,
        merged.local_pref,
        tuple(communities),
        tuple(sorted(merged.large_communities)[: left // 12]),
        merged.med,
        merged.as_path_prepend,
        sum(weights) if weights else None,
    )


def contributions_by_prefix(
    services: Iterable[AdvertisedService],
) -> Mapping[IPNetwork, Counter[Contribution]]:
    """Return, for each prefix, the number of services with each contribution."""
    counts: dict[IPNetwork, Counter[Contribution]] = {}
    for service in services:
        for prefix, contribution in contributions_of(service).items():
            counts.setdefault(prefix, Counter())[contribution] += 1
    return counts


def contributions_of(service: AdvertisedService) -> Mapping[IPNetwork, Contribution]:
    """Return the contribution of a service to each prefix that its addresses aggregate to.

    With ``externalTrafficPolicy: Local`` an aggregate would also attract a service's traffic to
    nodes that have no endpoint of it, only endpoints of other services. Each address therefore
    gets an implied host route beside the aggregate, with the same attributes.
    """
    found: dict[IPNetwork, list[PrefixAttributes]] = {}
    for advertisement in service.advertisements:
        attributes = _attributes(advertisement, service.local_endpoints)
        for address in service.addresses:
            prefix = aggregate(address, advertisement)
            found.setdefault(prefix, []).append(attributes)
            if service.local_endpoints is not None and prefix.prefixlen < address.max_prefixlen:
                found.setdefault(_host(address), []).append(replace(attributes, implied=True))
    return {prefix: tuple(dict.fromkeys(every)) for prefix, every in found.items()}


def merge(attributes: Iterable[PrefixAttributes]) -> PrefixAttributes:
    """Return the merged attributes of one service or of several, without regard to ``peers``.

    The weight is the highest one, which is right for one service; ``route`` adds the weights of
    several.
    """
    every = tuple(attributes)
    if len(every) == 1:
        return every[0]
    return PrefixAttributes(
        max(each.local_pref for each in every),
        frozenset().union(*(each.communities for each in every)),
        frozenset().union(*(each.large_communities for each in every)),
        min((each.med for each in every if each.med is not None), default=None),
        min(each.as_path_prepend for each in every),
        max((each.weight for each in every if each.weight is not None), default=None),
    )


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


def _select(contribution: Contribution, group: PeerGroup) -> PrefixAttributes | None:
    """Return the merged attributes of a contribution that reach a peer group."""
    reaching = [each for each in contribution if each.reaches(group)]
    explicit = [each for each in reaching if not each.implied]
    return merge(explicit or reaching) if reaching else None


def _attributes(advertisement: BgpAdvertisement, local_endpoints: int | None) -> PrefixAttributes:
    return PrefixAttributes(
        advertisement.local_pref,
        advertisement.communities,
        advertisement.large_communities,
        advertisement.med,
        advertisement.as_path_prepend,
        local_endpoints if advertisement.weight_by_endpoints else None,
        advertisement.peers,
    )


def _host(address: IPAddress) -> IPNetwork:
    return IPv4Network(address) if address.version == 4 else IPv6Network(address)


def _masked(value: int, host_bits: int) -> int:
    return value >> host_bits << host_bits
