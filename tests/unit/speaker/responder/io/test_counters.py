from __future__ import annotations

import errno
import os

from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.conflicts import Claim
from speaker.responder.io.counters import Tally
from speaker.responder.io.messages import (
    BATCH,
    CLAIMANTS,
    CLAIMS,
    AddressCounts,
    InterfaceState,
    Report,
    SendFailures,
)

A, B = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"


def failed(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_report_tells_what_was_counted_and_then_it_is_forgotten() -> None:
    tally = Tally()
    assert not tally
    tally.answered([A])
    tally.not_answered("eth0", A, failed(errno.ENOBUFS))
    tally.announced(B)
    tally.drop("Malformed")
    tally.drop("Malformed")
    states = (InterfaceState("eth0", "ARP", ""),)
    assert tally

    report = tally.report(states)

    assert report == Report(
        interfaces=states,
        counts=(AddressCounts(A, 2, 1, 0), AddressCounts(B, 0, 0, 1)),
        drops={"Malformed": 2},
        failures=(SendFailures("eth0", False, A, "No buffer space available", 1),),
    )
    tally.reported(report)
    assert not tally
    assert tally.report(None) == Report()


def test_a_report_that_was_not_sent_loses_nothing() -> None:
    tally = Tally()
    tally.answered([A])
    tally.report(None)
    tally.answered([A])
    assert tally.report(None).counts == (AddressCounts(A, 2, 2, 0),)


def test_failures_of_one_kind_are_counted_together() -> None:
    tally = Tally()
    down = failed(errno.ENETDOWN)
    tally.not_answered("eth0", A, down)
    tally.not_answered("eth0", A, down)
    tally.not_announced("eth0", A, down)
    tally.not_announced("eth1", A, down)
    failures = tally.report(None).failures
    assert [(f.interface, f.gratuitous, f.count) for f in failures] == [
        ("eth0", False, 2),
        ("eth0", True, 1),
        ("eth1", True, 1),
    ]


def test_what_is_too_much_for_one_report_comes_with_the_next() -> None:
    tally = Tally()
    addresses = [number.to_bytes(4) for number in range(BATCH + 10)]
    for address in addresses:
        tally.not_answered("eth0", address, failed(errno.ENETDOWN))
    told: list[bytes] = []

    while tally:
        report = tally.report(None)
        assert len(report.counts) <= BATCH
        assert len(report.failures) <= BATCH
        told += [counts.address for counts in report.counts]
        tally.reported(report)

    assert told == addresses


def claim(address: bytes, number: int) -> Claim:
    return Claim(address, MacAddress(b"\2" + number.to_bytes(5)))


def test_claims_of_one_kind_are_counted_together() -> None:
    tally = Tally()
    for _ in range(1000):
        tally.claimed("eth0", claim(A, 1))
    (told,) = tally.report(None).claims
    assert (told.interface, told.address, told.count) == ("eth0", A, 1000)


def test_invented_claimants_leave_room_for_claims_of_other_addresses() -> None:
    tally = Tally()
    for number in range(1000):
        tally.claimed("eth0", claim(A, number))
    tally.claimed("eth0", claim(B, 1))
    claims = tally.report(None).claims
    assert [told.address for told in claims] == [A] * CLAIMANTS + [B]


def test_a_report_names_no_more_claims_than_there_is_room_for() -> None:
    tally = Tally()
    for number in range(10_000):
        tally.claimed("eth0", claim(number.to_bytes(4), number))
    report = tally.report(None)
    assert len(report.claims) == CLAIMS
    tally.reported(report)
    assert not tally
    tally.claimed("eth0", claim(A, 1))
    assert len(tally.report(None).claims) == 1
