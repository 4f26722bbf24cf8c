"""Rate limits of the reports of address conflicts (RFC 5227 2.4)."""

from __future__ import annotations

from ipaddress import ip_address

from metallb_py.rate_limit import Admitted
from speaker.layer2.conflicts import OF_ALL, OF_AN_ADDRESS, REMEMBERED, REPORT_AGAIN, Conflicts

ADDRESS = ip_address("192.0.2.7")


def test_a_conflict_is_reported_once_and_again_after_report_again() -> None:
    conflicts = Conflicts()
    assert conflicts.report(ADDRESS, "a", 5.0) == Admitted()
    assert conflicts.report(ADDRESS, "a", 6.0) is None
    assert conflicts.report(ADDRESS, "b", 6.0) == Admitted()
    assert conflicts.report(ADDRESS, "a", 5.0 + REPORT_AGAIN) == Admitted()


def test_forged_mac_addresses_do_not_flood_the_log() -> None:
    """128 conflicts per second of one address, each with another MAC address."""
    conflicts = Conflicts()
    minute = [conflicts.report(ADDRESS, str(n), n / 128) for n in range(128 * 60)]
    assert sum(each is not None for each in minute) <= OF_AN_ADDRESS.burst + 1
    later = conflicts.report(ADDRESS, "later", 60.0 + REPORT_AGAIN)
    assert later == Admitted(suppressed=128 * 60 - OF_AN_ADDRESS.burst)


def test_conflicts_on_all_addresses_do_not_flood_the_log() -> None:
    conflicts = Conflicts()
    base = ip_address("10.0.0.0")
    minute = [conflicts.report(base + n % 10_000, str(n), n / 128) for n in range(128 * 60)]
    limit = OF_ALL.burst + 60 * OF_ALL.per_second
    assert OF_ALL.burst <= sum(each is not None for each in minute) <= limit + 1


def test_a_conflict_on_one_address_is_reported_beside_a_flood_on_another() -> None:
    conflicts = Conflicts()
    for number in range(1000):
        conflicts.report(ADDRESS, str(number), 0.0)
    assert conflicts.report(ip_address("192.0.2.8"), "a", 0.0) == Admitted()


def test_a_flood_does_not_evict_a_lasting_conflict() -> None:
    conflicts = Conflicts()
    assert conflicts.report(ADDRESS, "a", 0.0)
    base = ip_address("10.0.0.0")
    for number in range(20_000):
        now = number * REPORT_AGAIN / 20_000
        conflicts.report(base + number, str(number), now)
        assert conflicts.report(ADDRESS, "a", now) is None
    assert OF_ALL.burst + REPORT_AGAIN * OF_ALL.per_second < REMEMBERED
