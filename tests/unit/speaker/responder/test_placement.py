"""Incremental placement of addresses on interfaces, compared with a full placement."""

from __future__ import annotations

from random import Random

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.rtnetlink import ARPHRD_ETHER, Link
from speaker.responder.placement import LENGTHS, Owned, Placed, Placement
from speaker.responder.subnets import Subnet, placed

A, B = b"\xc0\x00\x02\x01", b"\xc6\x33\x64\x01"
A6 = bytes.fromhex("20010db8000000000000000000000001")


def link(index: int, name: str) -> Link:
    return Link(index, name, ARPHRD_ETHER, 0, MacAddress(bytes(6)), 0)


ETH0, ETH1 = link(2, "eth0"), link(3, "eth1")
LINKS = {2: ETH0, 3: ETH1}
SUBNETS = {2: frozenset({Subnet.of(A, 24)}), 3: frozenset({Subnet.of(B, 24), Subnet.of(A6, 64)})}


def test_addresses_are_placed_by_family() -> None:
    found = Placement().follow({A: (), B: (), A6: ()}, LINKS, SUBNETS)
    assert found == {
        (2, 4): {A},
        (2, 16): frozenset(),
        (3, 4): {B},
        (3, 16): {A6},
    }


def test_unchanged_placements_are_the_same_objects() -> None:
    placement = Placement()
    owned: Owned = {A: (), B: (), A6: ()}
    before = dict(placement.follow(owned, LINKS, SUBNETS))
    after = placement.follow(dict(owned), dict(LINKS), dict(SUBNETS))
    assert all(after[key] is before[key] for key in before)
    fewer = placement.follow({A: (), A6: ()}, LINKS, SUBNETS)
    assert fewer[3, 4] == frozenset()
    assert fewer[2, 4] is before[2, 4]


def test_a_change_of_subnets_or_names_places_every_address_again() -> None:
    placement = Placement()
    owned: Owned = {A: (), B: ("eth1",)}
    placement.follow(owned, LINKS, SUBNETS)
    assert placement.follow(owned, LINKS, {})[3, 4] == {A, B}
    renamed = {2: ETH0, 3: link(3, "wlan1")}
    assert placement.follow(owned, renamed, {})[3, 4] == {A}
    assert placement.follow(owned, {2: ETH0}, {}) == {(2, 4): {A}, (2, 16): frozenset()}


def test_any_interface_places_addresses_on_every_interface() -> None:
    found = Placement(any_interface=True).follow({A: ()}, LINKS, SUBNETS)
    assert found[2, 4] == found[3, 4] == {A}


def whole(owned: Owned, subnets: dict[int, frozenset[Subnet]], links: dict[int, Link]) -> Placed:
    found = placed(owned, links.values(), subnets, any_interface=False)
    return {
        (index, length): frozenset(a for a in addresses if len(a) == length)
        for index, addresses in found.items()
        for length in LENGTHS
    }


def test_incremental_placement_equals_full_placement() -> None:
    random = Random(7)
    addresses = [A[:2] + random.randbytes(2) for _ in range(50)] + [A6[:15] + b"\7", A6, A, B]
    placement = Placement()
    owned: dict[bytes, tuple[str, ...]] = {}
    links, subnets = dict(LINKS), dict(SUBNETS)
    for _ in range(500):
        owned = dict(owned)
        for address in random.sample(addresses, 3):
            if random.random() < 0.5:
                owned.pop(address, None)
            else:
                owned[address] = random.choice([(), ("eth0",), ("eth.",), ("none",)])
        if random.random() < 0.1:
            links = {i: each for i, each in LINKS.items() if random.random() < 0.7}
        if random.random() < 0.1:
            subnets = {i: s for i, s in SUBNETS.items() if random.random() < 0.7}
        assert placement.follow(owned, links, subnets) == whole(owned, subnets, links)
