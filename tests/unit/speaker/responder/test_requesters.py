"""Who is remembered of those who asked, and who is forgotten first."""

from __future__ import annotations

from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.requesters import Asker, Askers

VIP, OTHER = b"\xc0\x00\x02\x64", b"\xc0\x00\x02\x65"


def host(number: int, interface: int = 2) -> Asker:
    return Asker(interface, MacAddress(number.to_bytes(6)), number.to_bytes(4))


def test_those_who_asked_before_are_known_by_address() -> None:
    askers = Askers()
    askers.note(VIP, *host(1), 10.0)
    askers.note(VIP, *host(2), 11.0)
    askers.note(OTHER, *host(3), 12.0)
    assert askers.before(VIP, 20.0) == (host(1), host(2))
    assert askers.before(OTHER, 20.0) == (host(3),)
    assert askers.before(b"\xc0\x00\x02\x66", 20.0) == ()


def test_who_asked_since_knows_already() -> None:
    askers = Askers()
    askers.note(VIP, *host(1), 10.0)
    askers.note(VIP, *host(2), 10.0)
    askers.note(VIP, *host(1), 30.0)
    assert askers.before(VIP, 20.0) == (host(2),)
    assert len(askers) == 2


def test_a_host_on_two_interfaces_is_two() -> None:
    askers = Askers()
    askers.note(VIP, *host(1, interface=2), 10.0)
    askers.note(VIP, *host(1, interface=3), 10.0)
    assert askers.before(VIP, 20.0) == (host(1, interface=2), host(1, interface=3))


def test_of_too_many_for_one_address_the_one_not_heard_of_longest_is_forgotten() -> None:
    askers = Askers(per_address=2, overall=100)
    askers.note(OTHER, *host(9), 0.0)
    askers.note(VIP, *host(1), 1.0)
    askers.note(VIP, *host(2), 2.0)
    askers.note(VIP, *host(1), 3.0)
    askers.note(VIP, *host(3), 4.0)
    assert askers.before(VIP, 9.0) == (host(1), host(3))
    assert askers.before(OTHER, 9.0) == (host(9),)


def test_of_too_many_altogether_each_address_in_turn_loses_one() -> None:
    askers = Askers(per_address=10, overall=4)
    for number in (1, 2, 3):
        askers.note(VIP, *host(number), number)
    askers.note(OTHER, *host(4), 4.0)
    askers.note(OTHER, *host(5), 5.0)
    assert askers.before(VIP, 9.0) == (host(2), host(3))
    assert askers.before(OTHER, 9.0) == (host(4), host(5))
    askers.note(VIP, *host(6), 6.0)
    assert askers.before(OTHER, 9.0) == (host(5),)
    assert askers.before(VIP, 9.0) == (host(2), host(3), host(6))
    assert len(askers) == 4


def test_the_number_stays_bounded_whatever_comes() -> None:
    askers = Askers()
    for number in range(100_000):
        askers.note((number % 1000).to_bytes(4), *host(number % 7777), number)
    assert len(askers) <= 4096
    known = [askers.before(address.to_bytes(4), 1e9) for address in range(1000)]
    assert sum(map(len, known)) == len(askers)
