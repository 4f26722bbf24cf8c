"""Routes of services that are announced and withdrawn, one change at a time."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from ipaddress import ip_address, ip_network

from metallb_py.addresses import IPNetwork
from metallb_py.model.config import BgpAdvertisement
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.model.routes import UNNAMED, AdvertisedService, PeerGroup
from metallb_py.model.selectors import LabelSelector, Operator, Requirement
from metallb_py.protocols.bgp.rib.adj_rib_out import AdjRibOut
from speaker.bgp.route_table import RouteTable

HOSTS = (BgpAdvertisement(),)
ATTRIBUTES = [RouteAttributes(communities=frozenset({Community(number)})) for number in range(4)]
WIDE = (
    BgpAdvertisement(attributes=replace(ATTRIBUTES[1], local_pref=100)),
    BgpAdvertisement(aggregation_length=26, attributes=ATTRIBUTES[2]),
)
MARKED = (BgpAdvertisement(aggregation_length=26, attributes=ATTRIBUTES[3]),)
ONE, OTHER = "198.51.100.1", "198.51.100.2"
HOST = ip_network("198.51.100.1/32")
A, B = frozenset({"a"}), frozenset({"b"})
RACK_1 = LabelSelector(frozenset({Requirement("rack", Operator.IN, frozenset({"1"}))}))


def advertised(address: str, advertisements: tuple[BgpAdvertisement, ...]) -> AdvertisedService:
    return AdvertisedService((ip_address(address),), advertisements)


def only_changes(table: RouteTable) -> dict[IPNetwork, RouteAttributes | None]:
    """Return the changes of the only peer group."""
    ((group, changes),) = table.changes().items()
    assert group == UNNAMED
    return dict(changes)


def changed_prefixes(table: RouteTable) -> dict[PeerGroup, set[str]]:
    """Return the changed prefixes by peer group; those without a route with a minus sign."""
    return {
        group: {f"{'-' if route is None else ''}{prefix}" for prefix, route in changes.items()}
        for group, changes in table.changes().items()
    }


def test_a_route_is_reported_as_changed_once() -> None:
    table = RouteTable()
    table.announce("ns/one", advertised(ONE, HOSTS))
    assert only_changes(table) == {HOST: RouteAttributes()}
    assert only_changes(table) == {}
    table.announce("ns/one", advertised(ONE, HOSTS))
    assert only_changes(table) == {}, "no change"


def test_a_route_stays_until_its_last_service_is_withdrawn() -> None:
    table = RouteTable()
    table.announce("ns/one", advertised(ONE, MARKED))
    table.announce("ns/other", advertised(OTHER, MARKED))
    (prefix,) = only_changes(table)
    table.withdraw("ns/one")
    assert only_changes(table) == {}
    table.withdraw("ns/other")
    assert only_changes(table) == {prefix: None}
    assert table.routes() == {}


def test_a_change_that_is_reverted_before_it_is_read_is_no_change() -> None:
    table = RouteTable()
    table.announce("ns/one", advertised(ONE, HOSTS))
    table.withdraw("ns/one")
    assert only_changes(table) == {}


def test_a_service_that_is_not_announced_can_be_withdrawn() -> None:
    table = RouteTable()
    table.withdraw("ns/none")
    assert only_changes(table) == {}


def test_another_number_of_endpoints_is_another_weight() -> None:
    table = RouteTable()
    weighing = (BgpAdvertisement(weight_by_endpoints=True),)
    for count in (1, 2):
        table.announce("ns/one", AdvertisedService((ip_address(ONE),), weighing, count))
        assert only_changes(table) == {HOST: RouteAttributes(weight=count)}


def test_one_more_service_changes_its_own_prefixes_only() -> None:
    table = RouteTable()
    for number in range(200):
        table.announce(f"ns/{number}", advertised(f"198.51.100.{number}", WIDE))
    table.changes()
    table.announce("ns/one-more", advertised("198.51.100.250", WIDE))
    assert changed_prefixes(table) == {UNNAMED: {"198.51.100.250/32"}}


def test_each_peer_group_gets_its_own_changes() -> None:
    table = RouteTable()
    table.configure({}, [UNNAMED, A, B, A])
    table.announce("ns/one", advertised(ONE, (BgpAdvertisement(peers=A), *MARKED)))
    wide = "198.51.100.0/26"
    assert changed_prefixes(table) == {A: {wide, f"{ONE}/32"}, B: {wide}, UNNAMED: {wide}}
    table.announce("ns/one", advertised(ONE, (BgpAdvertisement(peers=A | B), *MARKED)))
    assert changed_prefixes(table) == {A: set(), B: {f"{ONE}/32"}, UNNAMED: set()}
    table.announce("ns/one", advertised(ONE, (BgpAdvertisement(peers=B), *MARKED)))
    assert changed_prefixes(table) == {A: {f"-{ONE}/32"}, B: set(), UNNAMED: set()}


def test_a_route_of_several_peer_groups_is_one_object() -> None:
    table = RouteTable()
    table.configure({}, [A, B])
    table.announce("ns/one", advertised(ONE, HOSTS))
    table.changes()
    assert table.routes(A)[HOST] is table.routes(B)[HOST]


def test_routes_of_one_advertisement_share_its_attributes() -> None:
    """The Adj-RIB-Out compares and hashes each object once."""
    table = RouteTable()
    table.announce("ns/one", advertised(ONE, MARKED))
    table.announce("ns/other", advertised(OTHER, MARKED))
    table.announce("ns/far", advertised("198.51.100.200", MARKED))
    assert [each is ATTRIBUTES[3] for each in only_changes(table).values()] == [True, True]


def test_a_new_peer_group_gets_every_route_and_a_removed_one_loses_all() -> None:
    table = RouteTable()
    table.announce("ns/one", advertised(ONE, HOSTS))
    table.changes()
    table.configure({}, [UNNAMED, A])
    assert changed_prefixes(table) == {UNNAMED: set(), A: {f"{ONE}/32"}}
    table.configure({}, [A])
    assert changed_prefixes(table) == {UNNAMED: {f"-{ONE}/32"}, A: set()}
    assert changed_prefixes(table) == {A: set()}


def test_a_peer_group_that_returns_gets_the_withdrawals_in_between() -> None:
    table = RouteTable()
    table.announce("ns/one", advertised(ONE, HOSTS))
    table.announce("ns/other", advertised(OTHER, HOSTS))
    table.changes()
    table.configure({}, [A])
    table.withdraw("ns/one")
    table.configure({}, [UNNAMED])
    assert changed_prefixes(table)[UNNAMED] == {f"-{ONE}/32", f"{OTHER}/32"}


def test_node_labels_select_advertisements() -> None:
    table = RouteTable()
    chosen = (BgpAdvertisement(node_selectors=(RACK_1,)), *MARKED)
    table.announce("ns/one", advertised(ONE, chosen))
    assert changed_prefixes(table) == {UNNAMED: {"198.51.100.0/26"}}
    table.configure({"rack": "1"}, [UNNAMED])
    assert changed_prefixes(table) == {UNNAMED: {f"{ONE}/32"}}
    table.configure({"rack": "2"}, [UNNAMED])
    assert changed_prefixes(table) == {UNNAMED: {f"-{ONE}/32"}}


def calls_for_one_more(services: int) -> int:
    """Count the function calls that one more service costs, to announce and to withdraw."""
    table, peer = RouteTable(), AdjRibOut()
    peer.open(frozenset({4}))

    def advertise() -> None:
        changes = only_changes(table)
        wanted = {prefix: route for prefix, route in changes.items() if route}
        peer.change(wanted, changes.keys() - wanted.keys())
        peer.take(4096)

    for number in range(services):
        table.announce(f"ns/{number}", AdvertisedService((ip_address(0xC6330000 + number),), WIDE))
    advertise()
    more, calls = advertised("198.51.255.250", WIDE), 0
    table.announce("ns/neighbor", advertised("198.51.255.251", WIDE))
    advertise()

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    gc.disable()  # its callbacks would be counted
    sys.setprofile(count)
    try:
        table.announce("ns/one-more", more)
        advertise()
        table.withdraw("ns/one-more")
        advertise()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_one_more_service_costs_the_same_on_top_of_thousands() -> None:
    calls_for_one_more(1)  # fills caches on first use, which are no cost of a service

    assert calls_for_one_more(4000) == calls_for_one_more(0)
