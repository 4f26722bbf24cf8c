"""What the responder process counted since its last report."""

from __future__ import annotations

from itertools import islice

from speaker.drivers.responder_messages import (
    BATCH,
    AddressCounts,
    InterfaceState,
    Report,
    SendFailures,
)

_REQUESTS, _RESPONSES, _GRATUITOUS = range(3)
_FailureKey = tuple[str, bool, bytes, str]


class Tally:
    """Counters that a report empties, once it is on its way."""

    __slots__ = ("_counts", "_drops", "_failures")

    def __init__(self) -> None:
        self._counts: dict[bytes, list[int]] = {}
        self._drops: dict[str, int] = {}
        self._failures: dict[_FailureKey, int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts or self._drops or self._failures)

    def answered(self, address: bytes) -> None:
        """A request came in and was answered."""
        counts = self._counts_of(address)
        counts[_REQUESTS] += 1
        counts[_RESPONSES] += 1

    def not_answered(self, interface: str, address: bytes, error: OSError) -> None:
        """A request came in, and the kernel did not take the answer."""
        self._counts_of(address)[_REQUESTS] += 1
        self._fail((interface, False, address, error.strerror or str(error)))

    def announced(self, address: bytes) -> None:
        """A packet went out that nobody asked for."""
        self._counts_of(address)[_GRATUITOUS] += 1

    def not_announced(self, interface: str, address: bytes, error: OSError) -> None:
        """The kernel did not take a packet that nobody asked for."""
        self._fail((interface, True, address, error.strerror or str(error)))

    def drop(self, reason: str) -> None:
        """A frame gets no answer."""
        self._drops[reason] = self._drops.get(reason, 0) + 1

    def report(self, interfaces: tuple[InterfaceState, ...] | None) -> Report:
        """Return a report of what was counted, or a first part of it."""
        return Report(
            interfaces=interfaces,
            counts=tuple(
                AddressCounts(address, *counts)
                for address, counts in islice(self._counts.items(), BATCH)
            ),
            drops=dict(self._drops),
            failures=tuple(
                SendFailures(*key, count) for key, count in islice(self._failures.items(), BATCH)
            ),
        )

    def reported(self, report: Report) -> None:
        """Forget what a report tells. Nothing may have been counted since it was made."""
        for counts in report.counts:
            del self._counts[counts.address]
        for failure in report.failures:
            key = (failure.interface, failure.gratuitous, failure.address, failure.error)
            del self._failures[key]
        self._drops.clear()

    def _fail(self, key: _FailureKey) -> None:
        self._failures[key] = self._failures.get(key, 0) + 1

    def _counts_of(self, address: bytes) -> list[int]:
        counts = self._counts.get(address)
        if counts is None:
            counts = self._counts[address] = [0, 0, 0]
        return counts
