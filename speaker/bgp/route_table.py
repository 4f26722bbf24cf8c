"""The routes of the announced services, kept as services come and go.

To work out all routes of ten thousand services takes a tenth of a second. So each prefix remembers
what is said of it and how often, and only the prefixes of a service that changed are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metallb_py.addresses import IPNetwork
from metallb_py.model.routes import UNNAMED, Audience, Offer, Route, Saying, route, say

Changes = Mapping[IPNetwork, Route | None]
"""Routes that are other ones than before; None for those that are gone."""


class RouteTable:
    """What ``routes_for`` says of all announced services, at the price of those that change.

    It says so to each audience; without ``configure`` that is the one that no advertisement names.
    """

    def __init__(self) -> None:
        self._labels: Mapping[str, str] = {}
        self._offers: dict[str, Offer] = {}
        self._of_service: dict[str, Mapping[IPNetwork, Saying]] = {}
        self._said: dict[IPNetwork, dict[Saying, int]] = {}
        self._stale: dict[IPNetwork, None] = {}  # a set that keeps its order
        self._routes: dict[Audience, dict[IPNetwork, Route]] = {UNNAMED: {}}
        self._gone: dict[Audience, Changes] = {}

    def routes(self, audience: Audience = UNNAMED) -> Mapping[IPNetwork, Route]:
        """All routes that an audience hears, as of the last ``changes``."""
        return self._routes[audience]

    def configure(self, labels: Mapping[str, str], audiences: Iterable[Audience]) -> None:
        """Have these audiences and no others, on a node with these labels."""
        wanted = frozenset(audiences)
        for audience in self._routes.keys() - wanted:
            self._gone[audience] = dict.fromkeys(self._routes.pop(audience))
        if new := wanted - self._routes.keys():
            self._routes |= {audience: {} for audience in new}
            self._stale |= dict.fromkeys(self._said)
        if labels != self._labels:
            self._labels = dict(labels)
            for key, offer in list(self._offers.items()):
                if any(advertisement.node_selectors for advertisement in offer.advertisements):
                    self.announce(key, offer)

    def announce(self, key: str, offer: Offer) -> None:
        """Advertise what a service offers, as far as this node is to, in place of its earlier."""
        self.withdraw(key)
        self._offers[key] = offer
        here = tuple(each for each in offer.advertisements if each.selects(self._labels))
        said = self._of_service[key] = say(Offer(offer.addresses, here, offer.local_endpoints))
        for prefix, what in said.items():
            counter = self._said.setdefault(prefix, {})
            counter[what] = counter.get(what, 0) + 1
            self._stale[prefix] = None

    def withdraw(self, key: str) -> None:
        """Advertise a service no more. One that is not announced is ignored."""
        self._offers.pop(key, None)
        for prefix, what in self._of_service.pop(key, {}).items():
            counter = self._said[prefix]
            counter[what] -= 1
            if not counter[what]:
                del counter[what]
            if not counter:
                del self._said[prefix]
            self._stale[prefix] = None

    def changes(self) -> Mapping[Audience, Changes]:
        """Return, for each audience, the routes that are other ones since the last call.

        What changed and changed back is none of them. An audience that is no more has lost all.
        """
        gone, self._gone = self._gone, {}
        changed: dict[Audience, dict[IPNetwork, Route | None]] = {
            audience: dict(gone.get(audience, {})) for audience in (*gone, *self._routes)
        }
        for prefix in self._stale:
            for audience, now in self._heard(prefix).items():
                routes = self._routes[audience]
                if now != routes.get(prefix):
                    changed[audience][prefix] = now
                    if now is None:
                        del routes[prefix]
                    else:
                        routes[prefix] = now
        self._stale.clear()
        return changed

    def _heard(self, prefix: IPNetwork) -> Mapping[Audience, Route | None]:
        """Return who hears what of a prefix, worked out once where that is all the same."""
        said = self._said.get(prefix, {})
        if any(each.peers for saying in said for each in saying):
            return {audience: route(prefix, said, audience) for audience in self._routes}
        return dict.fromkeys(self._routes, route(prefix, said, UNNAMED))
