"""Counters of the responder process, and its reports."""

from __future__ import annotations

import errno
import os

from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.conflicts import ConflictingFrame
from speaker.responder.io.counters import Tally
from speaker.responder.io.messages import (
    BATCH,
    MAX_CONFLICTS,
    MAX_MACS_PER_ADDRESS,
    AddressCounts,
    InterfaceState,
    Report,
    SendFailures,
)

A, B = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"


def failed(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_counters_are_reset_when_their_report_was_sent() -> None:
    counters = Tally()
    assert not counters
    counters.answered([A])
    counters.not_answered("eth0", A, failed(errno.ENOBUFS))
    counters.announced(B)
    counters.drop("Malformed")
    counters.drop("Malformed")
    states = (InterfaceState("eth0", "ARP", ""),)
    assert counters

    report = counters.report(states)

    assert report == Report(
        interfaces=states,
        counts=(AddressCounts(A, 2, 1, 0), AddressCounts(B, 0, 0, 1)),
        drops={"Malformed": 2},
        failures=(SendFailures("eth0", False, A, "No buffer space available", 1),),
    )
    counters.reported(report)
    assert not counters
    assert counters.report(None) == Report()


def test_a_report_that_was_not_sent_loses_nothing() -> None:
    counters = Tally()
    counters.answered([A])
    counters.report(None)
    counters.answered([A])
    assert counters.report(None).counts == (AddressCounts(A, 2, 2, 0),)


def test_failures_of_one_kind_are_counted_together() -> None:
    counters = Tally()
    down = failed(errno.ENETDOWN)
    counters.not_answered("eth0", A, down)
    counters.not_answered("eth0", A, down)
    counters.not_announced("eth0", A, down)
    counters.not_announced("eth1", A, down)
    failures = counters.report(None).failures
    assert [(f.interface, f.gratuitous, f.count) for f in failures] == [
        ("eth0", False, 2),
        ("eth0", True, 1),
        ("eth1", True, 1),
    ]


def test_counts_beyond_a_batch_come_with_the_next_report() -> None:
    counters = Tally()
    addresses = [number.to_bytes(4) for number in range(BATCH + 10)]
    for address in addresses:
        counters.not_answered("eth0", address, failed(errno.ENETDOWN))
    reported: list[bytes] = []

    while counters:
        report = counters.report(None)
        assert len(report.counts) <= BATCH
        assert len(report.failures) <= BATCH
        reported += [counts.address for counts in report.counts]
        counters.reported(report)

    assert reported == addresses


def conflict(address: bytes, number: int) -> ConflictingFrame:
    return ConflictingFrame(address, MacAddress(b"\2" + number.to_bytes(5)))


def test_conflicts_of_one_kind_are_counted_together() -> None:
    counters = Tally()
    for _ in range(1000):
        counters.count_conflict("eth0", conflict(A, 1))
    (reported,) = counters.report(None).conflicts
    assert (reported.interface, reported.address, reported.count) == ("eth0", A, 1000)


def test_forged_mac_addresses_leave_room_for_other_conflicts() -> None:
    counters = Tally()
    for number in range(1000):
        counters.count_conflict("eth0", conflict(A, number))
    counters.count_conflict("eth0", conflict(B, 1))
    conflicts = counters.report(None).conflicts
    assert [reported.address for reported in conflicts] == [A] * MAX_MACS_PER_ADDRESS + [B]


def test_the_number_of_conflicts_in_a_report_is_limited() -> None:
    counters = Tally()
    for number in range(10_000):
        counters.count_conflict("eth0", conflict(number.to_bytes(4), number))
    report = counters.report(None)
    assert len(report.conflicts) == MAX_CONFLICTS
    counters.reported(report)
    assert not counters
    counters.count_conflict("eth0", conflict(A, 1))
    assert len(counters.report(None).conflicts) == 1
