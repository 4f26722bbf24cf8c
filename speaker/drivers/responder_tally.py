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

    def request(self, address: bytes) -> None:
        """A request for an owned address came in."""
        self._count(address, _REQUESTS)

    def response(self, address: bytes) -> None:
        """A request was answered."""
        self._count(address, _RESPONSES)

    def gratuitous(self, address: bytes) -> None:
        """A packet went out that nobody asked for."""
        self._count(address, _GRATUITOUS)

    def drop(self, reason: str) -> None:
        """A frame gets no answer."""
        self._drops[reason] = self._drops.get(reason, 0) + 1

    def send_failed(
        self, interface: str, address: bytes, error: OSError, *, gratuitous: bool
    ) -> None:
        """The kernel did not take a frame."""
        key = (interface, gratuitous, address, error.strerror or str(error))
        self._failures[key] = self._failures.get(key, 0) + 1

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

    def _count(self, address: bytes, what: int) -> None:
        counts = self._counts.get(address)
        if counts is None:
            counts = self._counts[address] = [0, 0, 0]
        counts[what] += 1
