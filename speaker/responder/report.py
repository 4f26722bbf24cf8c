"""Reports of the responder process: its interfaces, and what it counted since the last report.

Addresses are packed, as everywhere in that process. ``speaker.responder.events.events_in`` makes
the speaker's events of a report: the types of addresses and interfaces that those have would cost
the process a megabyte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Final, NamedTuple

import msgspec

from metallb_py.protocols.rtnetlink import Link
from speaker.responder.conflicts import ConflictingFrame
from speaker.responder.subnets import Subnet

BATCH: Final = 512
"""Limit of addresses and of failures in a report, so that it does not block the speaker's loop."""
MAX_CONFLICTS: Final = 128
"""Limit of distinct address conflicts in a report."""
MAX_MACS_PER_ADDRESS: Final = 4
"""Limit of MAC addresses in conflict about one address: a host can forge any number of them."""


class InterfaceState(msgspec.Struct, frozen=True, array_like=True):
    """State of an interface in one protocol, ARP or NDP. ``error`` is empty if it answers."""

    name: str
    protocol: str
    error: str


class InterfaceAddresses(msgspec.Struct, frozen=True, array_like=True):
    """Addresses of an interface.

    Its MAC address, its subnets (network address and prefix length of each), and its own addresses.
    """

    name: str
    mac: bytes
    subnets: tuple[tuple[bytes, int], ...]
    addresses: tuple[bytes, ...] = ()


class AddressCounters(msgspec.Struct, frozen=True, array_like=True):
    """Packets received and sent for one address since the last report."""

    requests: int
    responses: int
    gratuitous: int


class SendFailure(NamedTuple):
    """A kind of frames that the kernel refused to send."""

    interface: str
    address: bytes
    """The address that the frames were about."""
    gratuitous: bool
    """Whether they were announcements; else they were replies."""
    error: str
    """The error, as text."""


class Conflict(NamedTuple):
    """An address of ours that another host announced on an interface, at its own MAC address."""

    interface: str
    address: bytes
    mac: bytes


class Report(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """State of the process, and counters since the last report."""

    interfaces: tuple[InterfaceState, ...] | None = None
    """State of each interface and protocol; None if unchanged since the last report."""
    interface_addresses: tuple[InterfaceAddresses, ...] | None = None
    """Addresses of each interface that answers; None if unchanged since the last report."""
    counts: dict[bytes, AddressCounters] = {}
    """Packets by address; up to BATCH addresses."""
    drops: dict[str, int] = {}
    """Number of frames without a reply, by reason."""
    conflicts: dict[Conflict, int] = {}
    """Number of frames of each address conflict; up to MAX_CONFLICTS."""
    failures: dict[SendFailure, int] = {}
    """Number of frames that the kernel refused to send; up to BATCH kinds."""


class Tally:
    """Counters since the last report, which ``take_report`` resets."""

    __slots__ = (
        "_answered",
        "_conflicts",
        "_drops",
        "_failures",
        "_gratuitous",
        "_macs_by_address",
        "_unanswered",
    )

    def __init__(self) -> None:
        self._answered: Counter[bytes] = Counter()
        self._unanswered: Counter[bytes] = Counter()
        self._gratuitous: Counter[bytes] = Counter()
        self._drops: Counter[str] = Counter()
        self._failures: Counter[SendFailure] = Counter()
        self._conflicts: Counter[Conflict] = Counter()
        self._macs_by_address: Counter[bytes] = Counter()  # distinct MAC addresses, by address

    def __bool__(self) -> bool:
        return any(self._of_addresses()) or bool(self._drops or self._failures or self._conflicts)

    def answered(self, addresses: Iterable[bytes]) -> None:
        """Count a request and its reply for each of these addresses."""
        self._answered.update(addresses)

    def not_answered(self, interface: str, address: bytes, error: OSError) -> None:
        """Count a request whose reply the kernel refused to send."""
        self._unanswered[address] += 1
        self._failures[SendFailure(interface, address, False, error.strerror or str(error))] += 1

    def announced(self, address: bytes) -> None:
        """Count a gratuitous packet."""
        self._gratuitous[address] += 1

    def not_announced(self, interface: str, address: bytes, error: OSError) -> None:
        """Count a gratuitous packet that the kernel refused to send."""
        self._failures[SendFailure(interface, address, True, error.strerror or str(error))] += 1

    def count_conflict(self, interface: str, frame: ConflictingFrame) -> None:
        """Count a conflicting frame; distinct conflicts beyond the limits are dropped."""
        conflict = Conflict(interface, *frame)
        if conflict not in self._conflicts:
            if (
                len(self._conflicts) == MAX_CONFLICTS
                or self._macs_by_address[frame.address] == MAX_MACS_PER_ADDRESS
            ):
                return
            self._macs_by_address[frame.address] += 1
        self._conflicts[conflict] += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Count frames without a reply."""
        self._drops[reason] += count

    def take_report(
        self,
        interfaces: tuple[InterfaceState, ...] | None = None,
        interface_addresses: tuple[InterfaceAddresses, ...] | None = None,
    ) -> Report:
        """Return a report of the counters, or of a first part of them, and reset these."""
        addresses = dict.fromkeys(chain(*self._of_addresses()))
        failures = tuple(islice(self._failures, BATCH))
        report = Report(
            interfaces,
            interface_addresses,
            {address: self._take_counts(address) for address in islice(addresses, BATCH)},
            dict(self._drops),
            dict(self._conflicts),
            {kind: self._failures.pop(kind) for kind in failures},
        )
        self._drops.clear()
        self._conflicts.clear()
        self._macs_by_address.clear()
        return report

    def _of_addresses(self) -> tuple[Counter[bytes], Counter[bytes], Counter[bytes]]:
        return self._answered, self._unanswered, self._gratuitous

    def _take_counts(self, address: bytes) -> AddressCounters:
        answered, unanswered, gratuitous = (c.pop(address, 0) for c in self._of_addresses())
        return AddressCounters(answered + unanswered, answered, gratuitous)


def reportable(
    links: Iterable[Link],
    subnets: Mapping[int, frozenset[Subnet]],
    addresses: Mapping[int, frozenset[bytes]],
) -> tuple[InterfaceAddresses, ...]:
    """Return the addresses of each of these interfaces; empty if a report can't hold all."""
    found = tuple(
        InterfaceAddresses(
            link.name,
            link.mac,
            tuple(sorted((s.first, s.prefix_length) for s in subnets.get(link.index, ()))),
            tuple(sorted(addresses.get(link.index, ()))),
        )
        for link in sorted(links, key=lambda link: link.name)
    )
    size = sum(1 + len(each.subnets) + len(each.addresses) for each in found)
    return () if size > BATCH else found
