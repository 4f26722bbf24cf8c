"""Hosts that recently requested each address; after a takeover they are notified by unicast.

Some hosts ignore gratuitous announcements and update their cache only from a unicast reply.
"""

from __future__ import annotations

from typing import NamedTuple

from metallb_py.protocols.ethernet import MacAddress

PER_ADDRESS = 64
"""Number of requesters remembered for an address."""
OVERALL = 4096
"""Number of requesters remembered for all addresses together."""


class Requester(NamedTuple):
    """A host: its MAC and packed IP address, and the index of the interface that it is behind."""

    interface: int
    mac: MacAddress
    address: bytes


class RecentRequesters:
    """Remembers the last requesters of each address, up to a limit for each and one overall.

    When the overall limit is exceeded, the addresses lose their least recent requester in turn.
    Requesters of an address that was lost are kept: if the address returns, they are notified.
    Times are monotonic seconds.
    """

    __slots__ = ("_by_address", "_count", "_overall", "_per_address")

    def __init__(self, per_address: int = PER_ADDRESS, overall: int = OVERALL) -> None:
        self._per_address = per_address
        self._overall = overall
        self._count = 0
        # Addresses in the order in which they are to lose a requester. For each: the fields of a
        # Requester and the time of its last request, the least recent first.
        self._by_address: dict[bytes, dict[tuple[int, MacAddress, bytes], float]] = {}

    def __len__(self) -> int:
        return self._count

    def record(
        self, address: bytes, interface: int, mac: MacAddress, requester: bytes, now: float
    ) -> None:
        """Record a request for a packed address. The requester is given by its fields.

        This runs for every reply that is not cached; creating a Requester each time would double
        its cost.
        """
        fields = (interface, mac, requester)
        known = self._by_address.setdefault(address, {})
        if fields in known:
            del known[fields]
        elif len(known) >= self._per_address:
            del known[next(iter(known))]
        else:
            self._count += 1
        known[fields] = now
        if self._count > self._overall:
            self._forget_one()

    def last_seen_before(self, address: bytes, time: float) -> tuple[Requester, ...]:
        """Return the hosts whose last request for an address was before a time."""
        known = self._by_address.get(address, {})
        return tuple(Requester(*fields) for fields, last in known.items() if last < time)

    def _forget_one(self) -> None:
        address = next(iter(self._by_address))
        known = self._by_address.pop(address)
        del known[next(iter(known))]
        self._count -= 1
        if known:
            self._by_address[address] = known
