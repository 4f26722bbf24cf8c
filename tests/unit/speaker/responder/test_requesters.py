"""Recent requesters, and the order in which they are forgotten."""

from __future__ import annotations

from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.requesters import RecentRequesters, Requester

VIP, OTHER = b"\xc0\x00\x02\x64", b"\xc0\x00\x02\x65"


def host(number: int, interface: int = 2) -> Requester:
    return Requester(interface, MacAddress(number.to_bytes(6)), number.to_bytes(4))


def test_earlier_requesters_are_returned_by_address() -> None:
    requesters = RecentRequesters()
    requesters.record(VIP, *host(1), 10.0)
    requesters.record(VIP, *host(2), 11.0)
    requesters.record(OTHER, *host(3), 12.0)
    assert requesters.last_seen_before(VIP, 20.0) == (host(1), host(2))
    assert requesters.last_seen_before(OTHER, 20.0) == (host(3),)
    assert requesters.last_seen_before(b"\xc0\x00\x02\x66", 20.0) == ()


def test_requesters_that_requested_again_since_are_left_out() -> None:
    requesters = RecentRequesters()
    requesters.record(VIP, *host(1), 10.0)
    requesters.record(VIP, *host(2), 10.0)
    requesters.record(VIP, *host(1), 30.0)
    assert requesters.last_seen_before(VIP, 20.0) == (host(2),)
    assert len(requesters) == 2


def test_a_host_on_two_interfaces_is_two() -> None:
    requesters = RecentRequesters()
    requesters.record(VIP, *host(1, interface=2), 10.0)
    requesters.record(VIP, *host(1, interface=3), 10.0)
    assert requesters.last_seen_before(VIP, 20.0) == (host(1, interface=2), host(1, interface=3))


def test_limit_per_address_drops_the_least_recent_requester() -> None:
    requesters = RecentRequesters(per_address=2, overall=100)
    requesters.record(OTHER, *host(9), 0.0)
    requesters.record(VIP, *host(1), 1.0)
    requesters.record(VIP, *host(2), 2.0)
    requesters.record(VIP, *host(1), 3.0)
    requesters.record(VIP, *host(3), 4.0)
    assert requesters.last_seen_before(VIP, 9.0) == (host(1), host(3))
    assert requesters.last_seen_before(OTHER, 9.0) == (host(9),)


def test_overall_limit_drops_one_requester_of_each_address_in_turn() -> None:
    requesters = RecentRequesters(per_address=10, overall=4)
    for number in (1, 2, 3):
        requesters.record(VIP, *host(number), number)
    requesters.record(OTHER, *host(4), 4.0)
    requesters.record(OTHER, *host(5), 5.0)
    assert requesters.last_seen_before(VIP, 9.0) == (host(2), host(3))
    assert requesters.last_seen_before(OTHER, 9.0) == (host(4), host(5))
    requesters.record(VIP, *host(6), 6.0)
    assert requesters.last_seen_before(OTHER, 9.0) == (host(5),)
    assert requesters.last_seen_before(VIP, 9.0) == (host(2), host(3), host(6))
    assert len(requesters) == 4


def test_the_number_of_requesters_is_bounded() -> None:
    requesters = RecentRequesters()
    for number in range(100_000):
        requesters.record((number % 1000).to_bytes(4), *host(number % 7777), number)
    assert len(requesters) <= 4096
    known = [requesters.last_seen_before(address.to_bytes(4), 1e9) for address in range(1000)]
    assert sum(map(len, known)) == len(requesters)
