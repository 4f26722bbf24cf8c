"""The routes of services that come and go, one change at a time."""

from __future__ import annotations

import gc
import sys
from ipaddress import ip_address, ip_network

from metallb_py.addresses import IPNetwork
from metallb_py.model.config import BgpAdvertisement, Community
from metallb_py.model.routes import UNNAMED, Audience, Offer, Route
from metallb_py.model.selectors import LabelSelector, Operator, Requirement
from metallb_py.protocols.bgp.rib.adj_rib_out import AdjRibOut, RouteAttributes
from speaker.bgp.route_table import RouteTable

HOSTS = (BgpAdvertisement(),)
WIDE = (
    BgpAdvertisement(local_pref=100, communities=frozenset({Community(1)})),
    BgpAdvertisement(aggregation_length=26, communities=frozenset({Community(2)})),
)
MARKED = (BgpAdvertisement(aggregation_length=26, communities=frozenset({Community(3)})),)
ONE, OTHER = "198.51.100.1", "198.51.100.2"
HOST = ip_network("198.51.100.1/32")
A, B = frozenset({"a"}), frozenset({"b"})
RACK_1 = LabelSelector(frozenset({Requirement("rack", Operator.IN, frozenset({"1"}))}))


def offer(address: str, advertisements: tuple[BgpAdvertisement, ...]) -> Offer:
    return Offer((ip_address(address),), advertisements)


def news(table: RouteTable) -> dict[IPNetwork, Route | None]:
    """Return what is new where there is but one audience."""
    ((audience, changes),) = table.changes().items()
    assert audience == UNNAMED
    return dict(changes)


def told(table: RouteTable) -> dict[Audience, set[str]]:
    """Return the prefixes that are new, by audience; those that are gone with a minus."""
    return {
        audience: {f"{'-' if route is None else ''}{prefix}" for prefix, route in changes.items()}
        for audience, changes in table.changes().items()
    }


def test_a_service_is_told_of_once() -> None:
    table = RouteTable()
    table.announce("ns/one", offer(ONE, HOSTS))
    assert news(table) == {HOST: Route(HOST)}
    assert news(table) == {}
    table.announce("ns/one", offer(ONE, HOSTS))
    assert news(table) == {}, "nothing is new"


def test_a_route_lives_until_its_last_service_goes() -> None:
    table = RouteTable()
    table.announce("ns/one", offer(ONE, MARKED))
    table.announce("ns/other", offer(OTHER, MARKED))
    (prefix,) = news(table)
    table.withdraw("ns/one")
    assert news(table) == {}
    table.withdraw("ns/other")
    assert news(table) == {prefix: None}
    assert table.routes() == {}


def test_what_changes_back_before_it_is_asked_for_is_no_change() -> None:
    table = RouteTable()
    table.announce("ns/one", offer(ONE, HOSTS))
    table.withdraw("ns/one")
    assert news(table) == {}


def test_a_service_that_is_not_announced_can_be_withdrawn() -> None:
    table = RouteTable()
    table.withdraw("ns/none")
    assert news(table) == {}


def test_another_number_of_endpoints_is_another_weight() -> None:
    table = RouteTable()
    weighing = (BgpAdvertisement(weight_by_endpoints=True),)
    for count in (1, 2):
        table.announce("ns/one", Offer((ip_address(ONE),), weighing, count))
        assert news(table) == {HOST: Route(HOST, weight=count)}


def test_one_more_service_touches_its_own_prefixes_alone() -> None:
    table = RouteTable()
    for number in range(200):
        table.announce(f"ns/{number}", offer(f"198.51.100.{number}", WIDE))
    table.changes()
    table.announce("ns/one-more", offer("198.51.100.250", WIDE))
    assert told(table) == {UNNAMED: {"198.51.100.250/32"}}


def test_each_audience_is_told_what_changes_for_it() -> None:
    table = RouteTable()
    table.configure({}, [UNNAMED, A, B, A])
    table.announce("ns/one", offer(ONE, (BgpAdvertisement(peers=A), *MARKED)))
    wide = "198.51.100.0/26"
    assert told(table) == {A: {wide, f"{ONE}/32"}, B: {wide}, UNNAMED: {wide}}
    table.announce("ns/one", offer(ONE, (BgpAdvertisement(peers=A | B), *MARKED)))
    assert told(table) == {A: set(), B: {f"{ONE}/32"}, UNNAMED: set()}
    table.announce("ns/one", offer(ONE, (BgpAdvertisement(peers=B), *MARKED)))
    assert told(table) == {A: {f"-{ONE}/32"}, B: set(), UNNAMED: set()}


def test_what_all_audiences_hear_is_one_route() -> None:
    table = RouteTable()
    table.configure({}, [A, B])
    table.announce("ns/one", offer(ONE, HOSTS))
    table.changes()
    assert table.routes(A)[HOST] is table.routes(B)[HOST]


def test_an_audience_that_comes_is_told_all_and_one_that_goes_has_lost_all() -> None:
    table = RouteTable()
    table.announce("ns/one", offer(ONE, HOSTS))
    table.changes()
    table.configure({}, [UNNAMED, A])
    assert told(table) == {UNNAMED: set(), A: {f"{ONE}/32"}}
    table.configure({}, [A])
    assert told(table) == {UNNAMED: {f"-{ONE}/32"}, A: set()}
    assert told(table) == {A: set()}


def test_an_audience_that_goes_and_comes_back_is_told_what_it_lost_meanwhile() -> None:
    table = RouteTable()
    table.announce("ns/one", offer(ONE, HOSTS))
    table.announce("ns/other", offer(OTHER, HOSTS))
    table.changes()
    table.configure({}, [A])
    table.withdraw("ns/one")
    table.configure({}, [UNNAMED])
    assert told(table)[UNNAMED] == {f"-{ONE}/32", f"{OTHER}/32"}


def test_labels_of_the_node_choose_advertisements() -> None:
    table = RouteTable()
    chosen = (BgpAdvertisement(node_selectors=(RACK_1,)), *MARKED)
    table.announce("ns/one", offer(ONE, chosen))
    assert told(table) == {UNNAMED: {"198.51.100.0/26"}}
    table.configure({"rack": "1"}, [UNNAMED])
    assert told(table) == {UNNAMED: {f"{ONE}/32"}}
    table.configure({"rack": "2"}, [UNNAMED])
    assert told(table) == {UNNAMED: {f"-{ONE}/32"}}


def calls_for_one_more(services: int) -> int:
    """Count the calls of any function that one more service takes, to come and to go."""
    table, peer = RouteTable(), AdjRibOut()
    peer.open(frozenset({4}))

    def tell() -> None:
        changes = news(table)
        wanted = {prefix: RouteAttributes(r.local_pref) for prefix, r in changes.items() if r}
        peer.change(wanted, changes.keys() - wanted.keys())
        peer.take(4096)

    for number in range(services):
        table.announce(f"ns/{number}", Offer((ip_address(0xC6330000 + number),), WIDE))
    tell()
    more, calls = offer("198.51.255.250", WIDE), 0
    table.announce("ns/neighbor", offer("198.51.255.251", WIDE))
    tell()

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    gc.disable()  # who listens to it would be counted
    sys.setprofile(count)
    try:
        table.announce("ns/one-more", more)
        tell()
        table.withdraw("ns/one-more")
        tell()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_one_more_service_takes_the_same_work_on_top_of_thousands() -> None:
    calls_for_one_more(1)  # what is looked up once, on first use, is no work of a service

    assert calls_for_one_more(4000) == calls_for_one_more(0)
