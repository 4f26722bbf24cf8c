"""Counters of the responder process since its last report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice, product

from speaker.responder.conflicts import ConflictingFrame
from speaker.responder.io.messages import (
    BATCH,
    MAX_CONFLICTS,
    MAX_MACS_PER_ADDRESS,
    AddressCounts,
    ConflictCount,
    InterfaceAddresses,
    InterfaceState,
    Report,
    SendFailures,
)

_FailureKey = tuple[str, bool, bytes, str]
_ConflictKey = tuple[str, ConflictingFrame]


class Tally:
    """Counters that ``reported`` resets once the channel has accepted a report."""

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
        self._failures: Counter[_FailureKey] = Counter()
        self._conflicts: Counter[_ConflictKey] = Counter()
        self._macs_by_address: Counter[bytes] = Counter()  # distinct MAC addresses, by address

    def __bool__(self) -> bool:
        return any(self._of_addresses()) or bool(self._drops or self._failures or self._conflicts)

    def answered(self, addresses: Iterable[bytes]) -> None:
        """Count a request and its reply for each of these addresses."""
        self._answered.update(addresses)

    def not_answered(self, interface: str, address: bytes, error: OSError) -> None:
        """Count a request whose reply the kernel refused to send."""
        self._unanswered[address] += 1
        self._fail((interface, False, address, error.strerror or str(error)))

    def announced(self, address: bytes) -> None:
        """Count a gratuitous packet."""
        self._gratuitous[address] += 1

    def not_announced(self, interface: str, address: bytes, error: OSError) -> None:
        """Count a gratuitous packet that the kernel refused to send."""
        self._fail((interface, True, address, error.strerror or str(error)))

    def count_conflict(self, interface: str, frame: ConflictingFrame) -> None:
        """Count a conflicting frame; distinct conflicts beyond the limits are dropped."""
        key = (interface, frame)
        if key not in self._conflicts:
            if (
                len(self._conflicts) == MAX_CONFLICTS
                or self._macs_by_address[frame.address] == MAX_MACS_PER_ADDRESS
            ):
                return
            self._macs_by_address[frame.address] += 1
        self._conflicts[key] += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Count frames without a reply."""
        self._drops[reason] += count

    def report(
        self,
        interfaces: tuple[InterfaceState, ...] | None = None,
        interface_addresses: tuple[InterfaceAddresses, ...] | None = None,
    ) -> Report:
        """Return a report of the counters, or of a first part of them (up to BATCH addresses)."""
        addresses = dict.fromkeys(chain(*self._of_addresses()))
        return Report(
            interfaces=interfaces,
            interface_addresses=interface_addresses,
            counts=tuple(self._counts_of(address) for address in islice(addresses, BATCH)),
            drops=dict(self._drops),
            conflicts=tuple(
                ConflictCount(interface, frame.address, frame.mac, count)
                for (interface, frame), count in self._conflicts.items()
            ),
            failures=tuple(
                SendFailures(*key, count) for key, count in islice(self._failures.items(), BATCH)
            ),
        )

    def reported(self, report: Report) -> None:
        """Reset what a report contains. Nothing may have been counted since it was made."""
        for counts, counter in product(report.counts, self._of_addresses()):
            counter.pop(counts.address, None)
        for failure in report.failures:
            key = (failure.interface, failure.gratuitous, failure.address, failure.error)
            del self._failures[key]
        self._drops.clear()
        self._conflicts.clear()
        self._macs_by_address.clear()

    def _of_addresses(self) -> tuple[Counter[bytes], Counter[bytes], Counter[bytes]]:
        return self._answered, self._unanswered, self._gratuitous

    def _counts_of(self, address: bytes) -> AddressCounts:
        answered = self._answered[address]
        return AddressCounts(
            address, answered + self._unanswered[address], answered, self._gratuitous[address]
        )

    def _fail(self, key: _FailureKey) -> None:
        self._failures[key] += 1
