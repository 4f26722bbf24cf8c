"""What the responder process counted since its last report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice, product

from speaker.responder.conflicts import Claim
from speaker.responder.io.messages import (
    BATCH,
    CLAIMANTS,
    CLAIMS,
    AddressCounts,
    Claims,
    InterfaceState,
    Report,
    SendFailures,
    WireState,
)

_FailureKey = tuple[str, bool, bytes, str]
_ClaimKey = tuple[str, Claim]


class Tally:
    """Counters that a report empties, once it is on its way."""

    __slots__ = (
        "_answered",
        "_claimants",
        "_claims",
        "_drops",
        "_failures",
        "_gratuitous",
        "_unanswered",
    )

    def __init__(self) -> None:
        self._answered: Counter[bytes] = Counter()
        self._unanswered: Counter[bytes] = Counter()
        self._gratuitous: Counter[bytes] = Counter()
        self._drops: Counter[str] = Counter()
        self._failures: Counter[_FailureKey] = Counter()
        self._claims: Counter[_ClaimKey] = Counter()
        self._claimants: Counter[bytes] = Counter()  # different ones, by address

    def __bool__(self) -> bool:
        return any(self._of_addresses()) or bool(self._drops or self._failures or self._claims)

    def answered(self, addresses: Iterable[bytes]) -> None:
        """A request for each of these came in and was answered."""
        self._answered.update(addresses)

    def not_answered(self, interface: str, address: bytes, error: OSError) -> None:
        """A request came in, and the kernel did not take the answer."""
        self._unanswered[address] += 1
        self._fail((interface, False, address, error.strerror or str(error)))

    def announced(self, address: bytes) -> None:
        """A packet went out that nobody asked for."""
        self._gratuitous[address] += 1

    def not_announced(self, interface: str, address: bytes, error: OSError) -> None:
        """The kernel did not take a packet that nobody asked for."""
        self._fail((interface, True, address, error.strerror or str(error)))

    def claimed(self, interface: str, claim: Claim) -> None:
        """Count a claim of another host to an address; only so many different ones are told."""
        key = (interface, claim)
        if key not in self._claims:
            if len(self._claims) == CLAIMS or self._claimants[claim.address] == CLAIMANTS:
                return
            self._claimants[claim.address] += 1
        self._claims[key] += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """A frame, or several, get no answer."""
        self._drops[reason] += count

    def report(
        self,
        interfaces: tuple[InterfaceState, ...] | None = None,
        wires: tuple[WireState, ...] | None = None,
    ) -> Report:
        """Return a report of what was counted, or a first part of it."""
        addresses = dict.fromkeys(chain(*self._of_addresses()))
        return Report(
            interfaces=interfaces,
            wires=wires,
            counts=tuple(self._counts_of(address) for address in islice(addresses, BATCH)),
            drops=dict(self._drops),
            claims=tuple(
                Claims(interface, claim.address, claim.mac, count)
                for (interface, claim), count in self._claims.items()
            ),
            failures=tuple(
                SendFailures(*key, count) for key, count in islice(self._failures.items(), BATCH)
            ),
        )

    def reported(self, report: Report) -> None:
        """Forget what a report tells. Nothing may have been counted since it was made."""
        for counts, counter in product(report.counts, self._of_addresses()):
            counter.pop(counts.address, None)
        for failure in report.failures:
            key = (failure.interface, failure.gratuitous, failure.address, failure.error)
            del self._failures[key]
        self._drops.clear()
        self._claims.clear()
        self._claimants.clear()

    def _of_addresses(self) -> tuple[Counter[bytes], Counter[bytes], Counter[bytes]]:
        return self._answered, self._unanswered, self._gratuitous

    def _counts_of(self, address: bytes) -> AddressCounts:
        answered = self._answered[address]
        return AddressCounts(
            address, answered + self._unanswered[address], answered, self._gratuitous[address]
        )

    def _fail(self, key: _FailureKey) -> None:
        self._failures[key] += 1
