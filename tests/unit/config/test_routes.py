from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import permutations

import pytest

from metallb_py.addresses import IPAddress
from metallb_py.config.model import BgpAdvertisement, Community, Pool, Protocol
from metallb_py.config.routes import Route, aggregate, routes_for
from metallb_py.protocols.bgp.attributes import AsSegment, Origin, PathAttributes, SegmentKind
from metallb_py.protocols.bgp.next_hops import NextHop
from metallb_py.protocols.bgp.packing import pack_announcements


def pool(*advertisements: BgpAdvertisement) -> Pool:
    return Pool(
        "p",
        Protocol.BGP,
        (ip_network("198.51.100.0/24"), ip_network("2001:db8::/64")),
        bgp_advertisements=advertisements,
    )


def addresses(*texts: str) -> list[IPAddress]:
    return [ip_address(text) for text in texts]


def prefixes(routes: frozenset[Route]) -> set[str]:
    return {str(route.prefix) for route in routes}


def test_each_address_of_a_service_is_a_host_route() -> None:
    routes = routes_for([(addresses("198.51.100.7", "2001:db8::7"), pool(BgpAdvertisement()))])

    assert routes == {
        Route(ip_network("198.51.100.7/32")),
        Route(ip_network("2001:db8::7/128")),
    }


def test_each_advertisement_of_the_pool_is_a_route_of_its_own() -> None:
    both = pool(
        BgpAdvertisement(local_pref=100, communities=frozenset({Community(2), Community(1)})),
        BgpAdvertisement(aggregation_length=24),
    )

    assert routes_for([(addresses("198.51.100.7"), both)]) == {
        Route(ip_network("198.51.100.7/32"), 100, (Community(1), Community(2))),
        Route(ip_network("198.51.100.0/24")),
    }


def test_an_aggregate_lives_until_its_last_service_goes() -> None:
    wide = pool(BgpAdvertisement(aggregation_length=24))
    one = (addresses("198.51.100.7"), wide)
    other = (addresses("198.51.100.8"), wide)

    assert prefixes(routes_for([one, other])) == {"198.51.100.0/24"}
    assert prefixes(routes_for([other])) == {"198.51.100.0/24"}
    assert routes_for([]) == frozenset()


def test_a_shared_address_is_one_route() -> None:
    service = (addresses("198.51.100.7"), pool(BgpAdvertisement()))

    assert len(routes_for([service, service])) == 1


def test_conflicting_advertisements_end_the_same_in_any_order() -> None:
    conflicting = (
        BgpAdvertisement(local_pref=100, communities=frozenset({Community(1)})),
        BgpAdvertisement(local_pref=300, communities=frozenset({Community(3)})),
        BgpAdvertisement(local_pref=200, communities=frozenset({Community(1), Community(2)})),
    )
    expected = {
        Route(ip_network("198.51.100.7/32"), 300, (Community(1), Community(2), Community(3)))
    }

    for order in permutations(conflicting):
        assert routes_for([(addresses("198.51.100.7"), pool(*order))]) == expected


@pytest.mark.parametrize(
    ("address", "length", "length_v6", "prefix"),
    [
        ("198.51.100.7", 32, 64, "198.51.100.7/32"),
        ("198.51.100.7", 30, 64, "198.51.100.4/30"),
        ("198.51.100.7", 0, 64, "0.0.0.0/0"),
        ("2001:db8::7", 24, 128, "2001:db8::7/128"),
        ("2001:db8:0:0:ffff::7", 24, 64, "2001:db8::/64"),
    ],
)
def test_an_address_aggregates_by_its_own_family(
    address: str, length: int, length_v6: int, prefix: str
) -> None:
    advertisement = BgpAdvertisement(length, length_v6)

    assert aggregate(ip_address(address), advertisement) == ip_network(prefix)


def test_a_route_never_has_more_communities_than_a_message_holds() -> None:
    many = pool(BgpAdvertisement(communities=frozenset(map(Community, range(2000)))))
    (route,) = routes_for([(addresses("198.51.100.7"), many)])
    said = PathAttributes(
        Origin.INCOMPLETE,
        (AsSegment(SegmentKind.SEQUENCE, (4_200_000_000,)),),
        local_pref=100,
        communities=route.communities,
    )
    prefixes = (ip_network("2001:db8::2/128"),)

    (message,) = pack_announcements(
        said, NextHop(ip_address("2001:db8::1")), prefixes, four_octet=True
    )
    assert len(message) <= 4096
