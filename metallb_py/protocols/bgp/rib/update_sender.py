"""What one peer is told of our routes: which, in which words, and when that was all.

Outlives the peer's sessions: what is desired stays, what was advertised goes with each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from metallb_py.addresses import IPNetwork
from metallb_py.protocols.bgp.codec.codes import AddressFamily, MessageType
from metallb_py.protocols.bgp.codec.framing import HEADER_LENGTH
from metallb_py.protocols.bgp.codec.messages import Refresh, RefreshKind, encode
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.negotiation import Settings, Terms
from metallb_py.protocols.bgp.rib.adj_rib_out import AdjRibOut, Batch, PrefixCounts, RouteAttributes
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses, NextHop, next_hops
from metallb_py.protocols.bgp.rib.path_attributes import path_attributes
from metallb_py.protocols.bgp.rib.update_packing import pack_announcements, pack_withdrawals

GRACEFUL_SHUTDOWN = 0xFFFF0000
"""The community of routes that are about to go (RFC 8326)."""

_BATCH = 4096
"""Most prefixes in one flush: a few full messages, and never a long stay in the event loop."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Whole messages, and how many of them are UPDATEs."""

    data: bytes
    count: int


NOTHING = Flush(b"", 0)

_TYPE = HEADER_LENGTH - 1
"""Where in a message its type is."""


class Outbound:
    """Turns changes of routes into UPDATE messages for one peer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._routes = AdjRibOut()
        self._terms: Terms | None = None
        self._next_hops: dict[int, NextHop] = {}
        # Refreshes that the peer asked for, and those of them that have begun (RFC 7313).
        self._requested: dict[AddressFamily, None] = {}
        self._refreshing: dict[AddressFamily, None] = {}
        self._draining = False
        self._complete = False
        self._owes_end = False
        self._restarting = True

    @property
    def counts(self) -> PrefixCounts:
        """Where the peer stands."""
        return self._routes.counts

    @property
    def restarting(self) -> bool:
        """Whether the peer was not told the end of our routes yet, in no session."""
        return self._restarting

    @property
    def has_news(self) -> bool:
        """Whether ``flush`` has something to say."""
        return not self._routes.settled or self._end_is_due or self._refresh_is_due

    def change(
        self, wanted: Mapping[IPNetwork, RouteAttributes], unwanted: Iterable[IPNetwork] = ()
    ) -> None:
        """Advertise these from now on, and those no longer."""
        self._routes.change(wanted, unwanted)

    def complete(self) -> None:
        """The routes so far are all: from now on the peer is told when it knows them."""
        self._complete = True

    def drain(self) -> None:
        """Ask the peer to find other ways: say again every route, as one about to go."""
        self._draining = True
        self._routes.resend()

    def open(self, terms: Terms, local: LocalAddresses) -> None:
        """A session is established, and the peer knows nothing of what we say now."""
        self._terms = terms
        # Prefixes of a family without next hop cannot be told of.
        self._next_hops = next_hops(self._settings, terms, local)
        self._owes_end = True
        self._routes.open(frozenset(self._next_hops))

    def close(self) -> None:
        """The session is gone."""
        self._terms = None
        self._owes_end = False
        self._requested.clear()
        self._refreshing.clear()
        self._routes.close()

    def resend(self, family: AddressFamily) -> None:
        """The peer wants to hear everything of this family again."""
        if _VERSIONS[family] in self._next_hops:
            self._requested[family] = None

    def flush(self) -> Flush | None:
        """Return the next messages, of a bounded number of changes."""
        if self._terms is None or not self.has_news:
            return None
        terms = self._terms
        began = self._begin_refreshes(terms)
        told = self._pack(terms, self._routes.take(_BATCH))
        return _joined([*began, *told, *self._ends(terms)])

    def withdraw_all(self) -> Flush:
        """Return messages that take back everything that the peer was told."""
        if self._terms is None:
            return NOTHING
        return _joined(self._pack(self._terms, self._routes.take_back()))

    @property
    def _end_is_due(self) -> bool:
        return self._owes_end and self._complete and self._routes.settled

    @property
    def _refresh_is_due(self) -> bool:
        may_begin = bool(self._requested) and not self._must_end_first
        return may_begin or (bool(self._refreshing) and self._routes.settled)

    @property
    def _must_end_first(self) -> bool:
        """Whether the End-of-RIB comes before any bracket (RFC 7313 section 4)."""
        terms = self._terms
        if terms is None or not terms.enhanced_refresh or terms.peer_restart is None:
            return False
        return self._owes_end

    def _begin_refreshes(self, terms: Terms) -> list[bytes]:
        if self._must_end_first:
            return []
        families = list(self._requested)
        self._requested.clear()
        for family in families:
            self._routes.resend(_VERSIONS[family])
        if not terms.enhanced_refresh:
            return []
        self._refreshing |= dict.fromkeys(families)
        return [encode(Refresh(family, RefreshKind.BEGIN)) for family in families]

    def _ends(self, terms: Terms) -> list[bytes]:
        """What there is to say once all routes were told."""
        if not self._routes.settled:
            return []
        refreshed = [encode(Refresh(family, RefreshKind.END)) for family in self._refreshing]
        self._refreshing.clear()
        if not self._end_is_due:
            return refreshed
        self._owes_end = self._restarting = False
        # For families without routes, too (RFC 4724 section 2).
        return refreshed + [encode(Update(end_of_rib=family)) for family in sorted(terms.families)]

    def _pack(self, terms: Terms, batch: Batch) -> list[bytes]:
        messages: list[bytes] = []
        for route, prefixes in batch.announced.items():
            attributes = path_attributes(terms, self._settings.origin, self._words(route))
            for version, next_hop in self._next_hops.items():
                messages += pack_announcements(
                    attributes,
                    next_hop,
                    [prefix for prefix in prefixes if prefix.version == version],
                    four_octet=terms.four_octet,
                    max_length=terms.max_length,
                )
        messages += pack_withdrawals(batch.withdrawn, max_length=terms.max_length)
        return messages

    def _words(self, route: RouteAttributes) -> RouteAttributes:
        if not self._draining:
            return route
        communities = tuple(sorted({*route.communities, GRACEFUL_SHUTDOWN}))
        # Within an AS, as unattractive as can be, for routers that do not know the community.
        return replace(route, communities=communities, local_pref=0)


_VERSIONS = {AddressFamily.IPV4: 4, AddressFamily.IPV6: 6}


def _joined(messages: list[bytes]) -> Flush:
    updates = sum(message[_TYPE] == MessageType.UPDATE for message in messages)
    return Flush(b"".join(messages), updates)
