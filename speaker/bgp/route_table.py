"""The routes of the announced services, kept as services come and go.

To work out all routes of ten thousand services takes a tenth of a second. So each prefix remembers
what is said of it and how often, and only the prefixes of a service that changed are looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.config.model import Pool
from metallb_py.config.routes import Route, Said, merge, route


class RouteTable:
    """What ``routes_for`` says of all announced services, at the price of those that change."""

    def __init__(self) -> None:
        self._of_service: dict[str, Mapping[IPNetwork, Said]] = {}
        self._said: dict[IPNetwork, Counter[Said]] = {}
        self._stale: dict[IPNetwork, None] = {}  # a set that keeps its order
        self._routes: dict[IPNetwork, Route] = {}

    @property
    def routes(self) -> Mapping[IPNetwork, Route]:
        """All routes, as of the last ``changes``."""
        return self._routes

    def announce(self, key: str, addresses: Iterable[IPAddress], pool: Pool) -> None:
        """Advertise a service's addresses, in place of its earlier ones."""
        self.withdraw(key)
        said = self._of_service[key] = merge(((addresses, pool),))
        for prefix, what in said.items():
            self._said.setdefault(prefix, Counter())[what] += 1
            self._stale[prefix] = None

    def withdraw(self, key: str) -> None:
        """Advertise a service no more. One that is not announced is ignored."""
        for prefix, what in self._of_service.pop(key, {}).items():
            counter = self._said[prefix]
            counter[what] -= 1
            if not counter[what]:
                del counter[what]
            if not counter:
                del self._said[prefix]
            self._stale[prefix] = None

    def changes(self) -> Mapping[IPNetwork, Route | None]:
        """Return the routes that are other ones since the last call; None for those that are gone.

        What changed and changed back is none of them.
        """
        changed: dict[IPNetwork, Route | None] = {}
        for prefix in self._stale:
            said = self._said.get(prefix)
            now = route(prefix, said) if said else None
            if now != self._routes.get(prefix):
                changed[prefix] = now
                if now is None:
                    del self._routes[prefix]
                else:
                    self._routes[prefix] = now
        self._stale.clear()
        return changed
