"""Exchange of addresses among services that hold what the others request."""

from __future__ import annotations

from ipaddress import ip_address

from support.kube.objects import pool

from controller.allocator import Allocator
from controller.exchanges import find_exchange
from controller.requests import ServiceRequest, SharingTerms
from metallb_py.addresses import AddressFamily, IPAddress

KEYS = [f"default/s{n}" for n in range(20)]


def holding(count: int) -> Allocator:
    """Return an allocator in which the n-th service holds the n-th address."""
    made = Allocator()
    made.set_pools((pool("a", "192.0.2.0/27"),))
    for number in range(count):
        made.assign(KEYS[number], (address(number),), SharingTerms())
    return made


def address(number: int) -> IPAddress:
    return ip_address("192.0.2.0") + number


def request_for(number: int) -> ServiceRequest:
    return ServiceRequest((AddressFamily.IPV4,), addresses=(address(number),))


def test_two_services_that_request_each_others_address() -> None:
    allocator = holding(2)
    movers = {KEYS[0]: request_for(1), KEYS[1]: request_for(0)}
    moves = find_exchange(KEYS[0], movers, allocator)
    assert {key: addresses for key, (addresses, _) in moves.items()} == {
        KEYS[0]: (address(1),),
        KEYS[1]: (address(0),),
    }
    allocator.exchange(moves)
    held = allocator.held(KEYS[0])
    assert held is not None
    assert held.addresses == (address(1),)


def test_a_cycle_of_services() -> None:
    movers = {KEYS[n]: request_for((n + 1) % 5) for n in range(5)}
    assert find_exchange(KEYS[3], movers, holding(5)).keys() == movers.keys()


def test_no_exchange_if_one_holder_stays() -> None:
    movers = {KEYS[0]: request_for(1), KEYS[1]: request_for(2)}
    assert not find_exchange(KEYS[0], movers, holding(3))


def test_no_exchange_if_a_requested_address_is_not_available() -> None:
    movers = {KEYS[0]: request_for(1), KEYS[1]: request_for(99)}
    assert not find_exchange(KEYS[0], movers, holding(2))


def test_no_exchange_in_large_cycles() -> None:
    movers = {KEYS[n]: request_for((n + 1) % 20) for n in range(20)}
    assert not find_exchange(KEYS[0], movers, holding(20))
