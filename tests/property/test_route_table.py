"""The route table, one change at a time, against all routes worked out anew, for each audience."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from metallb_py.addresses import IPNetwork
from metallb_py.model.config import BgpAdvertisement, Community
from metallb_py.model.routes import UNNAMED, Audience, Offer, Route, routes_for
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
ADVERTISEMENTS = st.builds(
    BgpAdvertisement,
    aggregation_length=st.sampled_from([28, 32]),
    aggregation_length_v6=st.sampled_from([124, 128]),
    local_pref=st.integers(0, 2),
    communities=some([1, 2, 3]).map(lambda values: frozenset(map(Community, values))),
    large_communities=some([1, 2]).map(lambda values: frozenset((n, n, n) for n in values)),
    med=st.none() | st.integers(0, 2),
    as_path_prepend=st.integers(0, 2),
    weight_by_endpoints=st.booleans(),
    peers=some(NAMES),
    node_selectors=st.lists(st.sampled_from(SELECTORS), max_size=1).map(tuple),
)
ADDRESSES = st.one_of(
    st.integers(0, 31).map(lambda number: ip_address(f"198.51.100.{number}")),
    st.integers(0, 31).map(lambda number: ip_address(f"2001:db8::{number:x}")),
)
OFFERS = st.builds(
    Offer,
    st.lists(ADDRESSES, min_size=1, max_size=2, unique=True).map(tuple),
    st.lists(ADVERTISEMENTS, max_size=3).map(tuple),
    st.none() | st.integers(1, 3),
)
KEYS = st.integers(0, 4).map(str)
AUDIENCES = st.frozensets(st.frozensets(st.sampled_from(NAMES)), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("announce"), KEYS, OFFERS),
        st.tuples(st.just("withdraw"), KEYS),
        st.tuples(st.just("configure"), st.sampled_from(RACKS), AUDIENCES),
        st.tuples(st.just("look")),
    ),
    max_size=25,
)


class Mirror:
    """What the audiences know if they are told the table's changes alone."""

    def __init__(self) -> None:
        self.table = RouteTable()
        self.offers: dict[str, Offer] = {}
        self.labels: dict[str, str] = {}
        self.audiences: frozenset[Audience] = frozenset({UNNAMED})
        self.known: dict[Audience, dict[IPNetwork, Route]] = {}
        self.left: set[Audience] = set()  # at some time since the last look

    def announce(self, key: str, offer: Offer) -> None:
        self.offers[key] = offer
        self.table.announce(key, offer)

    def withdraw(self, key: str) -> None:
        self.offers.pop(key, None)
        self.table.withdraw(key)

    def configure(self, rack: str, audiences: frozenset[Audience]) -> None:
        self.labels = {"rack": rack}
        self.left |= self.audiences - audiences
        self.audiences = audiences
        self.table.configure(self.labels, audiences)

    def look(self) -> None:
        for audience, changes in self.table.changes().items():
            known = self.known.setdefault(audience, {})
            for prefix, route in changes.items():
                if audience not in self.left:
                    assert known.get(prefix) != route, "no change"
                known.pop(prefix, None)
                if route is not None:
                    known[prefix] = route
        self.left.clear()
        for audience in self.known.keys() - self.audiences:
            assert self.known.pop(audience) == {}
        for audience in self.audiences:
            assert frozenset(self.known[audience].values()) == self.wanted(audience)
            assert self.known[audience] == self.table.routes(audience)

    def wanted(self, audience: Audience) -> frozenset[Route]:
        here = [
            Offer(
                offer.addresses,
                tuple(each for each in offer.advertisements if each.selects(self.labels)),
                offer.local_endpoints,
            )
            for offer in self.offers.values()
        ]
        return routes_for(here, audience)


@given(STEPS)
def test_changes_add_up_to_what_every_audience_is_to_hear(steps: list[tuple[object, ...]]) -> None:
    mirror = Mirror()
    for name, *arguments in (*steps, ("look",)):
        getattr(mirror, str(name))(*arguments)


@given(st.lists(OFFERS, max_size=4), st.randoms(), st.frozensets(st.sampled_from(NAMES)))
def test_no_order_matters(offers: list[Offer], chance: Random, audience: Audience) -> None:
    def shuffled(values: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(chance.sample(values, len(values)))

    other = [
        Offer(shuffled(offer.addresses), shuffled(offer.advertisements), offer.local_endpoints)
        for offer in shuffled(tuple(offers))
    ]
    assert routes_for(other, audience) == routes_for(offers, audience)
