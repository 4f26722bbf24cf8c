"""Incremental route table, compared with a full computation of the routes of each peer group."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from random import Random
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from metallb_py.addresses import IPNetwork
from metallb_py.model.config import BgpAdvertisement
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.model.routes import UNNAMED, AdvertisedService, PeerGroup, routes_for
from metallb_py.model.selectors import LabelSelector, Operator, Requirement
from speaker.bgp.route_table import RouteTable

RACKS = ("1", "2")
SELECTORS = [
    LabelSelector(frozenset({Requirement("rack", Operator.IN, frozenset({rack}))}))
    for rack in RACKS
]


T = TypeVar("T")


def some(values: list[T], most: int = 2) -> st.SearchStrategy[frozenset[T]]:
    return st.frozensets(st.sampled_from(values), max_size=most)


NAMES = ["a", "b", "c"]
ATTRIBUTES = st.builds(
    RouteAttributes,
    local_pref=st.integers(0, 2),
    communities=some([1, 2, 3]).map(lambda values: frozenset(map(Community, values))),
    large_communities=some([1, 2]).map(lambda values: frozenset((n, n, n) for n in values)),
    med=st.none() | st.integers(0, 2),
    as_path_prepend=st.integers(0, 2),
    weight=st.none(),
)
ADVERTISEMENTS = st.builds(
    BgpAdvertisement,
    aggregation_length=st.sampled_from([28, 32]),
    aggregation_length_v6=st.sampled_from([124, 128]),
    attributes=ATTRIBUTES,
    weight_by_endpoints=st.booleans(),
    peers=some(NAMES),
    node_selectors=st.lists(st.sampled_from(SELECTORS), max_size=1).map(tuple),
)
ADDRESSES = st.one_of(
    st.integers(0, 31).map(lambda number: ip_address(f"198.51.100.{number}")),
    st.integers(0, 31).map(lambda number: ip_address(f"2001:db8::{number:x}")),
)
SERVICES = st.builds(
    AdvertisedService,
    st.lists(ADDRESSES, min_size=1, max_size=2, unique=True).map(tuple),
    st.lists(ADVERTISEMENTS, max_size=3).map(tuple),
    st.none() | st.integers(1, 3),
)
KEYS = st.integers(0, 4).map(str)
PEER_GROUPS = st.frozensets(st.frozensets(st.sampled_from(NAMES)), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("announce"), KEYS, SERVICES),
        st.tuples(st.just("withdraw"), KEYS),
        st.tuples(st.just("configure"), st.sampled_from(RACKS), PEER_GROUPS),
        st.tuples(st.just("check")),
    ),
    max_size=25,
)


class Mirror:
    """The routes that each peer group has from the changes of the table alone."""

    def __init__(self) -> None:
        self.table = RouteTable()
        self.services: dict[str, AdvertisedService] = {}
        self.labels: dict[str, str] = {}
        self.groups: frozenset[PeerGroup] = frozenset({UNNAMED})
        self.known: dict[PeerGroup, dict[IPNetwork, RouteAttributes]] = {}
        self.removed: set[PeerGroup] = set()  # removed at some time since the last check

    def announce(self, key: str, service: AdvertisedService) -> None:
        self.services[key] = service
        self.table.announce(key, service)

    def withdraw(self, key: str) -> None:
        self.services.pop(key, None)
        self.table.withdraw(key)

    def configure(self, rack: str, groups: frozenset[PeerGroup]) -> None:
        self.labels = {"rack": rack}
        self.removed |= self.groups - groups
        self.groups = groups
        self.table.configure(self.labels, groups)

    def check(self) -> None:
        for group, changes in self.table.changes().items():
            known = self.known.setdefault(group, {})
            for prefix, route in changes.items():
                if group not in self.removed:
                    assert known.get(prefix) != route, "no change"
                known.pop(prefix, None)
                if route is not None:
                    known[prefix] = route
        self.removed.clear()
        for group in self.known.keys() - self.groups:
            assert self.known.pop(group) == {}
        for group in self.groups:
            assert self.known[group] == self.wanted(group) == self.table.routes(group)

    def wanted(self, group: PeerGroup) -> Mapping[IPNetwork, RouteAttributes]:
        here = [
            AdvertisedService(
                service.addresses,
                tuple(each for each in service.advertisements if each.selects(self.labels)),
                service.local_endpoints,
            )
            for service in self.services.values()
        ]
        return routes_for(here, group)


@given(STEPS)
def test_changes_add_up_to_the_routes_of_every_peer_group(steps: list[tuple[object, ...]]) -> None:
    mirror = Mirror()
    for name, *arguments in (*steps, ("check",)):
        getattr(mirror, str(name))(*arguments)


@given(st.lists(SERVICES, max_size=4), st.randoms(), st.frozensets(st.sampled_from(NAMES)))
def test_routes_do_not_depend_on_the_order_of_services(
    services: list[AdvertisedService], rng: Random, group: PeerGroup
) -> None:
    def shuffled(values: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(rng.sample(values, len(values)))

    other = [
        AdvertisedService(
            shuffled(service.addresses), shuffled(service.advertisements), service.local_endpoints
        )
        for service in shuffled(tuple(services))
    ]
    assert routes_for(other, group) == routes_for(services, group)
