"""Generation of UPDATE, End-of-RIB and ROUTE-REFRESH messages for one peer.

The sender outlives the peer's sessions: desired routes are kept, advertised ones are cleared at the
end of each session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from metallb_py.addresses import AddressFamily, IPNetwork
from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.protocols.bgp.codec.codes import MessageType
from metallb_py.protocols.bgp.codec.framing import HEADER_LENGTH
from metallb_py.protocols.bgp.codec.messages import Refresh, RefreshKind, encode
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.negotiation import NegotiatedSession
from metallb_py.protocols.bgp.rib.adj_rib_out import AdjRibOut, Batch, PrefixCounts
from metallb_py.protocols.bgp.rib.path_attributes import (
    LocalAddresses,
    NextHop,
    next_hops,
    path_attributes,
)
from metallb_py.protocols.bgp.rib.update_packing import pack_announcements, pack_withdrawals

GRACEFUL_SHUTDOWN = Community(0xFFFF0000)
"""Community of routes that will be withdrawn soon (RFC 8326)."""

_BATCH = 4096
"""Most prefixes in one flush: a few full messages, so that the event loop is not blocked long."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Complete messages, and the number of UPDATEs among them."""

    data: bytes
    count: int


NOTHING = Flush(b"", 0)

_TYPE_OFFSET = HEADER_LENGTH - 1
"""Offset of the type in a message."""


class UpdateSender:
    """Generator of messages from changes of routes, for one peer."""

    def __init__(self, parameters: SessionParameters) -> None:
        self._parameters = parameters
        self._routes = AdjRibOut()
        self._terms: NegotiatedSession | None = None
        self._next_hops: dict[int, NextHop] = {}
        # Families of which the peer requested a refresh, and those of started ones (RFC 7313).
        self._requested: dict[AddressFamily, None] = {}
        self._refreshing: dict[AddressFamily, None] = {}
        self._draining = False
        self._complete = False
        self._end_of_rib_pending = False
        self._restarting = True

    @property
    def counts(self) -> PrefixCounts:
        """Current numbers of prefixes."""
        return self._routes.counts

    @property
    def restarting(self) -> bool:
        """Whether End-of-RIB has not been sent in any session yet (Restart State bit, RFC 4724)."""
        return self._restarting

    @property
    def has_pending(self) -> bool:
        """Whether ``flush`` would return messages."""
        return not self._routes.in_sync or self._end_of_rib_is_due or self._refresh_is_due

    def change(
        self,
        wanted: Mapping[IPNetwork, RouteAttributes],
        unwanted: Iterable[IPNetwork] = (),
        *,
        complete: bool = False,
    ) -> None:
        """Add or replace the ``wanted`` routes and remove the ``unwanted`` prefixes.

        ``complete``: with these the initial set of routes is complete, so that from now on
        End-of-RIB is sent after the routes (RFC 4724 section 4.1).
        """
        self._routes.change(wanted, unwanted)
        self._complete = self._complete or complete

    def drain(self) -> None:
        """Schedule every route to be re-advertised with GRACEFUL_SHUTDOWN (RFC 8326).

        The peer then prefers other paths, where it has some.
        """
        self._draining = True
        self._routes.resend()

    def open(self, terms: NegotiatedSession, local: LocalAddresses) -> None:
        """Start a session: all desired routes are to be advertised."""
        self._terms = terms
        # Prefixes of a family without a next hop cannot be advertised.
        self._next_hops = next_hops(self._parameters, terms, local)
        self._end_of_rib_pending = True
        self._routes.open(frozenset(self._next_hops))

    def close(self) -> None:
        """End the session."""
        self._terms = None
        self._end_of_rib_pending = False
        self._requested.clear()
        self._refreshing.clear()
        self._routes.close()

    def resend(self, family: AddressFamily) -> None:
        """Schedule all routes of the family to be advertised again, as the peer requested."""
        if family.version in self._next_hops:
            self._requested[family] = None

    def flush(self) -> Flush | None:
        """Return the next messages, for a bounded number of changes; None if nothing is pending."""
        if self._terms is None or not self.has_pending:
            return None
        terms = self._terms
        begins = self._begin_refreshes(terms)
        updates = self._pack(terms, self._routes.take(_BATCH))
        return _joined([*begins, *updates, *self._end_markers(terms)])

    def withdraw_all(self) -> Flush:
        """Return messages that withdraw every advertised route."""
        if self._terms is None:
            return NOTHING
        return _joined(self._pack(self._terms, self._routes.withdraw_all()))

    @property
    def _end_of_rib_is_due(self) -> bool:
        return self._end_of_rib_pending and self._complete and self._routes.in_sync

    @property
    def _refresh_is_due(self) -> bool:
        may_begin = bool(self._requested) and not self._end_of_rib_first
        return may_begin or (bool(self._refreshing) and self._routes.in_sync)

    @property
    def _end_of_rib_first(self) -> bool:
        """Whether End-of-RIB must be sent before any BoRR (RFC 7313 section 4)."""
        terms = self._terms
        if terms is None or not terms.enhanced_refresh or terms.peer_restart is None:
            return False
        return self._end_of_rib_pending

    def _begin_refreshes(self, terms: NegotiatedSession) -> list[bytes]:
        if self._end_of_rib_first:
            return []
        families = list(self._requested)
        self._requested.clear()
        for family in families:
            self._routes.resend(family.version)
        if not terms.enhanced_refresh:
            return []
        self._refreshing |= dict.fromkeys(families)
        return [encode(Refresh(family, RefreshKind.BEGIN)) for family in families]

    def _end_markers(self, terms: NegotiatedSession) -> list[bytes]:
        """Return the EoRR and End-of-RIB messages that are due once all routes are advertised."""
        if not self._routes.in_sync:
            return []
        refreshed = [encode(Refresh(family, RefreshKind.END)) for family in self._refreshing]
        self._refreshing.clear()
        if not self._end_of_rib_is_due:
            return refreshed
        self._end_of_rib_pending = self._restarting = False
        # Sent for families without routes, too (RFC 4724 section 2).
        return refreshed + [encode(Update(end_of_rib=family)) for family in sorted(terms.families)]

    def _pack(self, terms: NegotiatedSession, batch: Batch) -> list[bytes]:
        messages: list[bytes] = []
        for route, prefixes in batch.announced.items():
            marked = self._with_graceful_shutdown(route)
            attributes = path_attributes(terms, self._parameters.origin, marked)
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

    def _with_graceful_shutdown(self, route: RouteAttributes) -> RouteAttributes:
        """Return the route as it is advertised: with GRACEFUL_SHUTDOWN while draining."""
        if not self._draining:
            return route
        communities = route.communities | {GRACEFUL_SHUTDOWN}
        # The least LOCAL_PREF, for routers in our AS that do not support the community.
        return replace(route, communities=communities, local_pref=0)


def _joined(messages: list[bytes]) -> Flush:
    updates = sum(message[_TYPE_OFFSET] == MessageType.UPDATE for message in messages)
    return Flush(b"".join(messages), updates)
