"""Routes advertised for services: prefixes, path attributes, weights and peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import permutations

import pytest

from metallb_py.addresses import IPNetwork
from metallb_py.model.config import BgpAdvertisement
from metallb_py.model.route_attributes import (
    MAX_COMMUNITY_BYTES,
    Community,
    RouteAttributes,
)
from metallb_py.model.routes import (
    AdvertisedService,
    aggregate,
    names_in,
    routes_for,
)

ADDRESS = "198.51.100.7"
HOST, WIDE = ip_network("198.51.100.7/32"), ip_network("198.51.100.0/24")
PLAIN = RouteAttributes()
A, B, NO_PEER = frozenset({"a"}), frozenset({"b"}), frozenset[str]()


def advertised(
    addresses: str, *advertisements: BgpAdvertisement, local_endpoints: int | None = None
) -> AdvertisedService:
    parsed = tuple(map(ip_address, addresses.split()))
    return AdvertisedService(parsed, advertisements, local_endpoints)


def communities(*values: int) -> frozenset[Community]:
    return frozenset(map(Community, values))


def marked(*values: int) -> RouteAttributes:
    return RouteAttributes(communities=communities(*values))


def prefixes(routes: Mapping[IPNetwork, RouteAttributes]) -> set[str]:
    return set(map(str, routes))


def weights(*services: AdvertisedService) -> dict[str, int | None]:
    return {str(prefix): attributes.weight for prefix, attributes in routes_for(services).items()}


def test_each_address_of_a_service_is_a_host_route() -> None:
    assert routes_for([advertised("198.51.100.7 2001:db8::7", BgpAdvertisement())]) == {
        ip_network("198.51.100.7/32"): PLAIN,
        ip_network("2001:db8::7/128"): PLAIN,
    }


def test_each_advertisement_of_the_pool_is_a_route_of_its_own() -> None:
    host = RouteAttributes(100, communities(2, 1), med=7)
    wide = RouteAttributes(large_communities=frozenset({(3, 1, 1), (2, 9, 9)}))
    both = advertised(
        ADDRESS, BgpAdvertisement(attributes=host), BgpAdvertisement(24, attributes=wide)
    )

    assert routes_for([both]) == {HOST: host, WIDE: wide}


def test_aggregate_is_advertised_until_its_last_service_is_withdrawn() -> None:
    wide = BgpAdvertisement(aggregation_length=24)
    one, other = advertised("198.51.100.7", wide), advertised("198.51.100.8", wide)

    assert prefixes(routes_for([one, other])) == {"198.51.100.0/24"}
    assert prefixes(routes_for([other])) == {"198.51.100.0/24"}
    assert routes_for([]) == {}


def test_a_shared_address_is_one_route() -> None:
    service = advertised(ADDRESS, BgpAdvertisement())

    assert len(routes_for([service, service])) == 1


def test_conflicting_advertisements_merge_the_same_in_any_order() -> None:
    large = frozenset({(1, 1, 1)})
    conflicting = (
        BgpAdvertisement(attributes=RouteAttributes(100, communities(1), as_path_prepend=2)),
        BgpAdvertisement(attributes=RouteAttributes(300, communities(3), as_path_prepend=1, med=9)),
        BgpAdvertisement(
            attributes=RouteAttributes(200, communities(1, 2), large, as_path_prepend=3, med=8),
            weight_by_endpoints=True,
        ),
    )
    expected = {
        HOST: RouteAttributes(300, communities(1, 2, 3), large, med=8, as_path_prepend=1, weight=4)
    }

    for order in permutations(conflicting):
        assert routes_for([advertised(ADDRESS, *order, local_endpoints=4)]) == expected
        apart = [advertised(ADDRESS, each, local_endpoints=4) for each in order]
        assert routes_for(apart) == expected


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
def test_aggregation_length_is_that_of_the_address_family(
    address: str, length: int, length_v6: int, prefix: str
) -> None:
    advertisement = BgpAdvertisement(length, length_v6)

    assert aggregate(ip_address(address), advertisement) == ip_network(prefix)


def test_weights_of_an_aggregates_services_add_up() -> None:
    wide = BgpAdvertisement(aggregation_length=24, weight_by_endpoints=True)
    plain = BgpAdvertisement(aggregation_length=24)
    two = advertised("198.51.100.7", wide, local_endpoints=2)
    three = advertised("198.51.100.8", wide, local_endpoints=3)

    assert weights(two, three)["198.51.100.0/24"] == 5
    assert weights(two, two)["198.51.100.0/24"] == 4, "two services that are alike are two"
    assert weights(two, three) == weights(three, two)
    assert (
        weights(two, advertised("198.51.100.9", plain, local_endpoints=7))["198.51.100.0/24"] == 2
    )


def test_service_weight_counts_once_per_prefix() -> None:
    weighing = BgpAdvertisement(aggregation_length=24, weight_by_endpoints=True)
    preferred = replace(weighing, attributes=RouteAttributes(1))
    twice = advertised("198.51.100.7 198.51.100.8", weighing, preferred, local_endpoints=3)

    assert weights(twice)["198.51.100.0/24"] == 3


def test_only_local_endpoints_have_weight() -> None:
    weighing, plain = BgpAdvertisement(weight_by_endpoints=True), BgpAdvertisement()

    assert weights(advertised(ADDRESS, weighing)) == {"198.51.100.7/32": None}
    assert weights(advertised(ADDRESS, plain, local_endpoints=3)) == {"198.51.100.7/32": None}
    assert weights(advertised(ADDRESS, weighing, local_endpoints=3)) == {"198.51.100.7/32": 3}


def test_local_endpoints_keep_host_routes_beside_an_aggregate() -> None:
    attributes = RouteAttributes(100, communities(1), med=5)
    wide = BgpAdvertisement(24, 64, attributes, weight_by_endpoints=True)
    service = advertised("198.51.100.7 2001:db8::7", wide, local_endpoints=2)

    weighted = replace(attributes, weight=2)
    texts = ("198.51.100.0/24", "198.51.100.7/32", "2001:db8::/64", "2001:db8::7/128")
    assert routes_for([service]) == {ip_network(text): weighted for text in texts}


def test_explicit_host_route_has_its_advertisements_attributes() -> None:
    """MetalLB's example: an aggregate for all, host routes for the neighbor alone."""
    attributes = RouteAttributes(communities=communities(0xFFFFFF02), as_path_prepend=2)
    host = BgpAdvertisement(attributes=attributes)
    wide = BgpAdvertisement(24, attributes=RouteAttributes(9))
    both = advertised(ADDRESS, host, wide, local_endpoints=1)

    assert routes_for([both])[HOST] == attributes


def test_peer_gets_advertisements_that_name_it_or_no_peer() -> None:
    service = advertised(
        ADDRESS,
        BgpAdvertisement(attributes=marked(1), peers=A),
        BgpAdvertisement(attributes=marked(2), peers=A | B),
        BgpAdvertisement(aggregation_length=24),
    )

    assert routes_for([service], A) == {HOST: marked(1, 2), WIDE: PLAIN}
    assert routes_for([service], B) == {HOST: marked(2), WIDE: PLAIN}
    assert routes_for([service], NO_PEER) == {WIDE: PLAIN}


def test_host_route_beside_an_aggregate_goes_to_the_aggregates_peers() -> None:
    service = advertised(
        ADDRESS,
        BgpAdvertisement(attributes=marked(1), peers=A),
        BgpAdvertisement(aggregation_length=24, attributes=marked(2), peers=B),
        local_endpoints=1,
    )

    assert routes_for([service], A) == {HOST: marked(1)}
    assert routes_for([service], B) == {HOST: marked(2), WIDE: marked(2)}
    assert routes_for([service], NO_PEER) == {}


def test_service_weight_counts_once_for_a_peer_of_two_advertisements() -> None:
    some = BgpAdvertisement(weight_by_endpoints=True, peers=A)
    more = BgpAdvertisement(weight_by_endpoints=True, attributes=RouteAttributes(1), peers=A | B)
    service = advertised(ADDRESS, some, more, local_endpoints=3)

    for group in (A, B, A | B):
        ((_, attributes),) = routes_for([service, service], group).items()
        assert attributes.weight == 6


def test_names_in_returns_the_peers_that_advertisements_name() -> None:
    assert names_in([]) == NO_PEER
    assert names_in([BgpAdvertisement(peers=A), BgpAdvertisement(), BgpAdvertisement(peers=B)]) == {
        "a",
        "b",
    }


def test_communities_of_a_route_fit_into_one_update_message() -> None:
    no_export = 0xFFFFFF01
    for plain, large in ((2000, 2000), (100, 2000), (0, 2000)):
        many = RouteAttributes(
            communities=communities(*range(plain), no_export),
            large_communities=frozenset((n, n, n) for n in range(large)),
        )
        route = routes_for([advertised(ADDRESS, BgpAdvertisement(attributes=many))])[HOST]
        assert no_export in route.communities
        size = 4 * len(route.communities) + 12 * len(route.large_communities)
        assert MAX_COMMUNITY_BYTES - 12 < size <= MAX_COMMUNITY_BYTES
