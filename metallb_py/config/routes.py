"""From announced services to the routes that every peer is to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.config.model import BgpAdvertisement, Community, LargeCommunity, Pool

MAX_COMMUNITIES = 900
"""Of one route. More, and its attributes would not fit a message of 4096 bytes (RFC 4271)."""


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


def routes_for(
    services: Iterable[tuple[Iterable[IPAddress], Pool]],
) -> frozenset[Route]:
    """Return one route for each prefix that these services' addresses aggregate to.

    Each service comes as its addresses and their pool. A prefix lives as long as one service
    needs it.
    """
    return frozenset(route(prefix, (said,)) for prefix, said in merge(services).items())


@dataclass(frozen=True, slots=True)
class Said:
    """What advertisements say of a prefix."""

    local_pref: int = 0
    communities: frozenset[Community] = frozenset()


def route(prefix: IPNetwork, said: Iterable[Said]) -> Route:
    """Return the route for a prefix of which all this is said.

    Where that differs, the result does not depend on its order: the highest local preference and
    the communities of all. A configuration has no more than MAX_COMMUNITIES for one prefix; pools
    that drain may add to them, and then the lowest ones count.
    """
    everything = tuple(said)
    communities = frozenset().union(*(each.communities for each in everything))
    return Route(
        prefix,
        max(each.local_pref for each in everything),
        tuple(sorted(communities)[:MAX_COMMUNITIES]),
    )


def merge(services: Iterable[tuple[Iterable[IPAddress], Pool]]) -> dict[IPNetwork, Said]:
    """Return what is said of each prefix that these addresses of these pools aggregate to."""
    said: dict[IPNetwork, Said] = {}
    for addresses, pool in services:
        for address in addresses:
            for advertisement in pool.bgp_advertisements:
                prefix = aggregate(address, advertisement)
                earlier = said.get(prefix, NOTHING_SAID)
                said[prefix] = Said(
                    max(earlier.local_pref, advertisement.local_pref),
                    earlier.communities | advertisement.communities,
                )
    return said


NOTHING_SAID = Said()


def aggregate(address: IPAddress, advertisement: BgpAdvertisement) -> IPNetwork:
    """Return the prefix that the advertisement covers the address with."""
    if address.version == 4:
        length = advertisement.aggregation_length
        return IPv4Network((_masked(int(address), 32 - length), length))
    length = advertisement.aggregation_length_v6
    return IPv6Network((_masked(int(address), 128 - length), length))


def _masked(value: int, host_bits: int) -> int:
    return value >> host_bits << host_bits
