"""Reports of the responder process, and its counters."""

from __future__ import annotations

import errno
import os

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.rtnetlink import ARPHRD_ETHER, Link
from speaker.responder.conflicts import ConflictingFrame
from speaker.responder.report import (
    BATCH,
    MAX_CONFLICTS,
    MAX_MACS_PER_ADDRESS,
    AddressCounters,
    Conflict,
    InterfaceAddresses,
    InterfaceState,
    Report,
    SendFailure,
    Tally,
    reportable,
)
from speaker.responder.subnets import Subnet

A, B, C = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02", b"\xc6\x33\x64\x01"


def failed(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_report_resets_the_counters() -> None:
    counters = Tally()
    assert not counters
    counters.answered([A])
    counters.not_answered("eth0", A, failed(errno.ENOBUFS))
    counters.announced(B)
    counters.drop("Malformed")
    counters.drop("Malformed")
    states = (InterfaceState("eth0", "ARP", ""),)
    assert counters

    assert counters.take_report(states) == Report(
        interfaces=states,
        counts={A: AddressCounters(2, 1, 0), B: AddressCounters(0, 0, 1)},
        drops={"Malformed": 2},
        failures={SendFailure("eth0", A, False, "No buffer space available"): 1},
    )
    assert not counters
    assert counters.take_report() == Report()


def test_a_report_has_what_was_counted_since_the_one_before() -> None:
    counters = Tally()
    counters.answered([A])
    counters.take_report()
    counters.answered([A])
    assert counters.take_report().counts == {A: AddressCounters(1, 1, 0)}


def test_failures_of_one_kind_are_counted_together() -> None:
    counters = Tally()
    down = failed(errno.ENETDOWN)
    counters.not_answered("eth0", A, down)
    counters.not_answered("eth0", A, down)
    counters.not_announced("eth0", A, down)
    counters.not_announced("eth1", A, down)
    failures = counters.take_report().failures
    assert [(f.interface, f.gratuitous, count) for f, count in failures.items()] == [
        ("eth0", False, 2),
        ("eth0", True, 1),
        ("eth1", True, 1),
    ]


def test_counts_beyond_a_batch_come_with_the_next_report() -> None:
    counters = Tally()
    addresses = [number.to_bytes(4) for number in range(BATCH + 10)]
    for address in addresses:
        counters.not_answered("eth0", address, failed(errno.ENETDOWN))
    counted: list[bytes] = []
    failed_for: list[bytes] = []

    while counters:
        report = counters.take_report()
        assert len(report.counts) <= BATCH
        assert len(report.failures) <= BATCH
        counted += report.counts
        failed_for += [failure.address for failure in report.failures]

    assert counted == failed_for == addresses


def conflict(address: bytes, number: int) -> ConflictingFrame:
    return ConflictingFrame(address, MacAddress(b"\2" + number.to_bytes(5)))


def test_conflicts_of_one_kind_are_counted_together() -> None:
    counters = Tally()
    for _ in range(1000):
        counters.count_conflict("eth0", conflict(A, 1))
    assert counters.take_report().conflicts == {Conflict("eth0", *conflict(A, 1)): 1000}


def test_forged_mac_addresses_leave_room_for_other_conflicts() -> None:
    counters = Tally()
    for number in range(1000):
        counters.count_conflict("eth0", conflict(A, number))
    counters.count_conflict("eth0", conflict(B, 1))
    conflicts = counters.take_report().conflicts
    assert [reported.address for reported in conflicts] == [A] * MAX_MACS_PER_ADDRESS + [B]


def test_the_number_of_conflicts_in_a_report_is_limited() -> None:
    counters = Tally()
    for number in range(10_000):
        counters.count_conflict("eth0", conflict(number.to_bytes(4), number))
    assert len(counters.take_report().conflicts) == MAX_CONFLICTS
    assert not counters
    counters.count_conflict("eth0", conflict(A, 1))
    assert len(counters.take_report().conflicts) == 1


def link(index: int, name: str) -> Link:
    return Link(index, name, ARPHRD_ETHER, 0, MacAddress(bytes([2, 0, 0, 0, 0, index])), 0)


def test_interfaces_are_reported_by_name_with_their_subnets_and_addresses() -> None:
    subnets = {2: frozenset({Subnet.of(B, 24), Subnet.of(C, 24)})}
    found = reportable([link(3, "eth1"), link(2, "eth0")], subnets, {2: frozenset({B, A})})
    assert found == (
        InterfaceAddresses(
            "eth0", b"\2\0\0\0\0\2", ((A[:3] + b"\0", 24), (C[:3] + b"\0", 24)), (A, B)
        ),
        InterfaceAddresses("eth1", b"\2\0\0\0\0\3", ()),
    )


def test_no_interface_is_reported_if_a_report_cannot_hold_all() -> None:
    many = {2: frozenset(number.to_bytes(4) for number in range(BATCH))}
    few = {2: frozenset(number.to_bytes(4) for number in range(BATCH - 1))}
    assert reportable([link(2, "eth0")], {}, many) == ()
    assert len(reportable([link(2, "eth0")], {}, few)) == 1
