"""What one peer is told of our routes: which, in which words, and when that was all.

Outlives the peer's sessions: what is desired stays, what was advertised goes with each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.protocols.bgp.adj_rib_out import AdjRibOut, Batch, PrefixCounts, RouteAttributes
from metallb_py.protocols.bgp.attributes import AsSegment, Origin, PathAttributes, SegmentKind
from metallb_py.protocols.bgp.codes import AddressFamily, MessageType
from metallb_py.protocols.bgp.framing import frame
from metallb_py.protocols.bgp.messages import encode
from metallb_py.protocols.bgp.negotiation import Terms
from metallb_py.protocols.bgp.update import (
    Reach,
    Update,
    end_of_rib,
    pack_announcements,
    pack_withdrawals,
)

GRACEFUL_SHUTDOWN = 0xFFFF0000
"""The community of routes that are about to go (RFC 8326)."""

_BATCH = 4096
"""Most prefixes in one flush: a few full messages, and never a long stay in the event loop."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Whole UPDATE messages, and how many they are."""

    data: bytes
    count: int


NOTHING = Flush(b"", 0)


class Outbound:
    """Turns changes of routes into UPDATE messages for one peer."""

    def __init__(self) -> None:
        self._routes = AdjRibOut()
        self._terms: Terms | None = None
        self._next_hop: IPAddress = IPv4Address(0)
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
        return not self._routes.settled or self._end_is_due

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

    def open(self, terms: Terms, local_address: IPAddress) -> None:
        """A session is established, and the peer knows nothing of what we say now."""
        # The next hop is our own address, so only prefixes of its family can be told of.
        carried = {_VERSIONS[family] for family in terms.families} & {local_address.version}
        self._terms, self._next_hop = terms, local_address
        self._owes_end = True
        self._routes.open(frozenset(carried))

    def close(self) -> None:
        """The session is gone."""
        self._terms = None
        self._owes_end = False
        self._routes.close()

    def resend(self) -> None:
        """The peer wants to hear everything again."""
        self._routes.resend()

    def flush(self) -> Flush | None:
        """Return the next messages, of a bounded number of changes."""
        if self._terms is None or not self.has_news:
            return None
        return self._flush(self._terms, self._routes.take(_BATCH))

    def withdraw_all(self) -> Flush:
        """Return messages that take back everything that the peer was told."""
        return self._flush(self._terms, self._routes.take_back()) if self._terms else NOTHING

    @property
    def _end_is_due(self) -> bool:
        return self._owes_end and self._complete and self._routes.settled

    def _flush(self, terms: Terms, batch: Batch) -> Flush:
        updates: list[Update] = []
        for route, prefixes in batch.announced.items():
            reach = Reach(self._next_hop, prefixes)
            attributes = _path_attributes(terms, self._words(route))
            updates += pack_announcements(attributes, reach, four_octet=terms.four_octet)
        updates += pack_withdrawals(batch.withdrawn)
        messages = [encode(update, four_octet=terms.four_octet) for update in updates]
        if self._end_is_due:
            self._owes_end = self._restarting = False
            messages += [
                frame(MessageType.UPDATE, end_of_rib(family))
                for family in sorted(terms.families)
                if _VERSIONS[family] == self._next_hop.version
            ]
        return Flush(b"".join(messages), len(messages))

    def _words(self, route: RouteAttributes) -> RouteAttributes:
        if not self._draining:
            return route
        communities = tuple(sorted({*route.communities, GRACEFUL_SHUTDOWN}))
        # Within an AS, as unattractive as can be, for routers that do not know the community.
        return replace(route, communities=communities, local_pref=0)


_VERSIONS = {AddressFamily.IPV4: 4, AddressFamily.IPV6: 6}


def _path_attributes(terms: Terms, route: RouteAttributes) -> PathAttributes:
    """Say of a route what this peer is to hear (RFC 4271 section 5.1)."""
    path = AsSegment(SegmentKind.SEQUENCE, (terms.local_asn,))
    return PathAttributes(
        # As MetalLB 0.12 sends it: routers keep old and new speakers in one ECMP group.
        origin=Origin.INCOMPLETE,
        as_path=() if terms.internal else (path,),
        local_pref=route.local_pref if terms.internal else None,
        communities=route.communities,
    )
