"""Routes of the announced services, updated as services come and go.

To compute all routes of ten thousand services takes a tenth of a second. So each prefix has the
services' contributions to it, with their numbers, and only the prefixes of a service that changed
are computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metallb_py.addresses import IPNetwork
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.model.routes import (
    UNNAMED,
    AdvertisedService,
    Contributions,
    PeerGroup,
    attributes_for,
    contributions_of,
)

Changes = Mapping[IPNetwork, RouteAttributes | None]
"""Routes that changed; None for prefixes that have no route any more."""


class RouteTable:
    """Incremental form of ``routes_for``: each call costs as much as the services that changed.

    It has the routes of each group of peers; before ``configure`` there is one group, that of the
    peers that no advertisement names.
    """

    def __init__(self) -> None:
        self._labels: Mapping[str, str] = {}
        self._offers: dict[str, AdvertisedService] = {}
        self._by_service: dict[str, Mapping[IPNetwork, Contributions]] = {}
        self._counts: dict[IPNetwork, dict[Contributions, int]] = {}
        self._stale: dict[IPNetwork, None] = {}  # a set that keeps its order
        self._routes: dict[PeerGroup, dict[IPNetwork, RouteAttributes]] = {UNNAMED: {}}
        self._removed: dict[PeerGroup, Changes] = {}

    def routes(self, group: PeerGroup = UNNAMED) -> Mapping[IPNetwork, RouteAttributes]:
        """Return all routes of a group of peers, as of the last ``changes``."""
        return self._routes[group]

    def configure(self, labels: Mapping[str, str], groups: Iterable[PeerGroup]) -> None:
        """Keep routes for exactly these groups of peers, on a node with these labels."""
        wanted = frozenset(groups)
        for group in self._routes.keys() - wanted:
            self._removed[group] = dict.fromkeys(self._routes.pop(group))
        if new := wanted - self._routes.keys():
            self._routes |= {group: {} for group in new}
            self._stale |= dict.fromkeys(self._counts)
        if labels != self._labels:
            self._labels = dict(labels)
            for key, offer in list(self._offers.items()):
                if any(advertisement.node_selectors for advertisement in offer.advertisements):
                    self.announce(key, offer)

    def announce(self, key: str, offer: AdvertisedService) -> None:
        """Advertise a service, in place of its earlier offer, if this node is selected."""
        self.withdraw(key)
        self._offers[key] = offer
        selected = tuple(each for each in offer.advertisements if each.selects(self._labels))
        by_prefix = self._by_service[key] = contributions_of(
            AdvertisedService(offer.addresses, selected, offer.local_endpoints)
        )
        for prefix, contributions in by_prefix.items():
            counts = self._counts.setdefault(prefix, {})
            counts[contributions] = counts.get(contributions, 0) + 1
            self._stale[prefix] = None

    def withdraw(self, key: str) -> None:
        """Withdraw a service. One that is not announced is ignored."""
        self._offers.pop(key, None)
        for prefix, contributions in self._by_service.pop(key, {}).items():
            counts = self._counts[prefix]
            counts[contributions] -= 1
            if not counts[contributions]:
                del counts[contributions]
            if not counts:
                del self._counts[prefix]
            self._stale[prefix] = None

    def changes(self) -> Mapping[PeerGroup, Changes]:
        """Return, for each group of peers, the routes that changed since the last call.

        A route that changed and changed back is left out. A group that was removed loses all its
        routes.
        """
        removed, self._removed = self._removed, {}
        changed: dict[PeerGroup, dict[IPNetwork, RouteAttributes | None]] = {
            group: dict(removed.get(group, {})) for group in (*removed, *self._routes)
        }
        for prefix in self._stale:
            for group, now in self._routes_to(prefix).items():
                routes = self._routes[group]
                if now != routes.get(prefix):
                    changed[group][prefix] = now
                    if now is None:
                        del routes[prefix]
                    else:
                        routes[prefix] = now
        self._stale.clear()
        return changed

    def _routes_to(self, prefix: IPNetwork) -> Mapping[PeerGroup, RouteAttributes | None]:
        """Return each group's route to a prefix, computed once where it is the same for all."""
        counts = self._counts.get(prefix, {})
        if any(each.peers for contributions in counts for each in contributions):
            return {group: attributes_for(group, counts) for group in self._routes}
        return dict.fromkeys(self._routes, attributes_for(UNNAMED, counts))
