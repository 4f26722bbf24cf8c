"""From announced services to the routes that each peer is to know.

A prefix may be spoken of by many advertisements and services. What comes of that never depends on
their order: the highest local preference, all communities, the lowest MED of those given (none
only where none is), the shortest AS path, and the sum of the services' weights. Both the highest
local preference and the lowest MED are what a router would have chosen, had it heard them apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.config import BgpAdvertisement, Community, LargeCommunity

COMMUNITY_ROOM = 3600
"""Bytes that a route's communities may take, of the 4096 of a message (RFC 4271).

That leaves enough for a path of 17 numbers, in both of its encodings (RFC 6793), a link bandwidth,
two next hops (RFC 2545) and the longest prefix.
"""

Audience = frozenset[str]
"""By which names, of those in advertisements, a session is called: equal ones hear the same."""

UNNAMED: Audience = frozenset()
"""Of sessions that no advertisement names."""


@dataclass(frozen=True, slots=True)
class Route:
    """A prefix to advertise. Communities ascend, so that equal routes compare equal.

    ``weight`` is the number of ready endpoints here, None where nothing is to be said of it.
    """

    prefix: IPNetwork
    local_pref: int = 0
    communities: tuple[Community, ...] = ()
    large_communities: tuple[LargeCommunity, ...] = ()
    med: int | None = None
    as_path_prepend: int = 0
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """The addresses of a service that this node announces, and how it advertises them.

    ``local_endpoints`` is how many endpoints this node has, where only they get what it is sent
    (``externalTrafficPolicy: Local``). Else it is None: any node then spreads over all endpoints,
    so none has more weight than another.
    """

    addresses: tuple[IPAddress, ...]
    advertisements: tuple[BgpAdvertisement, ...]
    local_endpoints: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What an advertisement says of a prefix, to these peers, or to all where none is named.

    ``implied``: only where the others say nothing of it.
    """

    local_pref: int = 0
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    med: int | None = None
    as_path_prepend: int = 0
    weight: int | None = None
    peers: frozenset[str] = frozenset()
    implied: bool = False

    @property
    def community_size(self) -> int:
        """How many bytes of a message the communities take."""
        return 4 * len(self.communities) + 12 * len(self.large_communities)

    def reaches(self, audience: Audience) -> bool:
        """Whether this audience is told."""
        return not self.peers or not self.peers.isdisjoint(audience)


Saying = tuple[Said, ...]
"""All that one service has said of a prefix."""


def routes_for(offers: Iterable[Offer], audience: Audience = UNNAMED) -> frozenset[Route]:
    """Return what an audience hears: one route for each prefix that the addresses aggregate to.

    A prefix lives as long as one service needs it.
    """
    routes = (route(prefix, said, audience) for prefix, said in said_of(offers).items())
    return frozenset(each for each in routes if each is not None)


def route(prefix: IPNetwork, said: Mapping[Saying, int], audience: Audience) -> Route | None:
    """Return the route of a prefix of which so many services say this; None if nobody hears it.

    A configuration does not exceed COMMUNITY_ROOM; pools that drain may, and then some count.
    """
    heard = [(one, times) for saying, times in said.items() if (one := _hear(saying, audience))]
    if not heard:
        return None
    weights = [one.weight * times for one, times in heard if one.weight is not None]
    words = merge([one for one, _ in heard])
    # The highest ones: among them are those that all routers know, such as NO_EXPORT.
    communities = sorted(words.communities)[-(COMMUNITY_ROOM // 4) :]
    left = COMMUNITY_ROOM - 4 * len(communities)
    return Route(
        prefix,
        words.local_pref,
        tuple(communities),
        tuple(sorted(words.large_communities)[: left // 12]),
        words.med,
        words.as_path_prepend,
        sum(weights) if weights else None,
    )


def said_of(offers: Iterable[Offer]) -> Mapping[IPNetwork, Counter[Saying]]:
    """Return what how many services say of each prefix."""
    said: dict[IPNetwork, Counter[Saying]] = {}
    for offer in offers:
        for prefix, saying in say(offer).items():
            said.setdefault(prefix, Counter())[saying] += 1
    return said


def say(offer: Offer) -> Mapping[IPNetwork, Saying]:
    """Return what is said of each prefix that a service's addresses aggregate to.

    Under ``externalTrafficPolicy: Local`` an aggregate would bring a service's traffic also to
    nodes that have none of its endpoints but another service's. So there, each address has its
    host route beside the aggregate, with the same attributes.
    """
    said: dict[IPNetwork, list[Said]] = {}
    for advertisement in offer.advertisements:
        words = _words(advertisement, offer.local_endpoints)
        for address in offer.addresses:
            prefix = aggregate(address, advertisement)
            said.setdefault(prefix, []).append(words)
            if offer.local_endpoints is not None and prefix.prefixlen < address.max_prefixlen:
                said.setdefault(_host(address), []).append(replace(words, implied=True))
    return {prefix: tuple(dict.fromkeys(words)) for prefix, words in said.items()}


def merge(said: Iterable[Said]) -> Said:
    """Return what all this comes to, to whomever it is said: of one service, or of several.

    The weight is one service's.
    """
    everything = tuple(said)
    if len(everything) == 1:
        return everything[0]
    return Said(
        max(each.local_pref for each in everything),
        frozenset().union(*(each.communities for each in everything)),
        frozenset().union(*(each.large_communities for each in everything)),
        min((each.med for each in everything if each.med is not None), default=None),
        min(each.as_path_prepend for each in everything),
        max((each.weight for each in everything if each.weight is not None), default=None),
    )


def names_in(advertisements: Iterable[BgpAdvertisement]) -> frozenset[str]:
    """Return the peers that advertisements name."""
    return frozenset().union(*(advertisement.peers for advertisement in advertisements))


def aggregate(address: IPAddress, advertisement: BgpAdvertisement) -> IPNetwork:
    """Return the prefix that the advertisement covers the address with."""
    if address.version == 4:
        length = advertisement.aggregation_length
        return IPv4Network((_masked(int(address), 32 - length), length))
    length = advertisement.aggregation_length_v6
    return IPv6Network((_masked(int(address), 128 - length), length))


def _hear(saying: Saying, audience: Audience) -> Said | None:
    heard = [each for each in saying if each.reaches(audience)]
    spoken = [each for each in heard if not each.implied]
    return merge(spoken or heard) if heard else None


def _words(advertisement: BgpAdvertisement, local_endpoints: int | None) -> Said:
    return Said(
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
