"""The routes of services that come and go, one change at a time."""

from __future__ import annotations

import gc
import random
import sys
from ipaddress import ip_address, ip_network

from metallb_py.config.model import BgpAdvertisement, Community, Pool, Protocol
from metallb_py.config.routes import Route, routes_for
from metallb_py.protocols.bgp.adj_rib_out import AdjRibOut, RouteAttributes
from speaker.bgp.route_table import RouteTable

CIDRS = (ip_network("198.51.100.0/24"), ip_network("2001:db8::/64"))
HOSTS = Pool("hosts", Protocol.BGP, CIDRS, bgp_advertisements=(BgpAdvertisement(),))
WIDE = Pool(
    "wide",
    Protocol.BGP,
    CIDRS,
    bgp_advertisements=(
        BgpAdvertisement(local_pref=100, communities=frozenset({Community(1)})),
        BgpAdvertisement(aggregation_length=26, communities=frozenset({Community(2)})),
    ),
)
MARKED = Pool(
    "marked",
    Protocol.BGP,
    CIDRS,
    bgp_advertisements=(
        BgpAdvertisement(aggregation_length=26, communities=frozenset({Community(3)})),
    ),
)
ONE, OTHER = ip_address("198.51.100.1"), ip_address("198.51.100.2")


def test_a_service_is_told_of_once() -> None:
    table = RouteTable()
    table.announce("ns/one", [ONE], HOSTS)
    prefix = ip_network("198.51.100.1/32")
    assert table.changes() == {prefix: Route(prefix)}
    assert table.changes() == {}
    table.announce("ns/one", [ONE], HOSTS)
    assert table.changes() == {}, "nothing is new"


def test_a_route_lives_until_its_last_service_goes() -> None:
    table = RouteTable()
    table.announce("ns/one", [ONE], MARKED)
    table.announce("ns/other", [OTHER], MARKED)
    (prefix,) = table.changes()
    table.withdraw("ns/one")
    assert table.changes() == {}
    table.withdraw("ns/other")
    assert table.changes() == {prefix: None}
    assert table.routes == {}


def test_what_changes_back_before_it_is_asked_for_is_no_change() -> None:
    table = RouteTable()
    table.announce("ns/one", [ONE], HOSTS)
    table.withdraw("ns/one")
    assert table.changes() == {}


def test_a_service_that_is_not_announced_can_be_withdrawn() -> None:
    table = RouteTable()
    table.withdraw("ns/none")
    assert table.changes() == {}


def test_one_more_service_touches_its_own_prefixes_alone() -> None:
    table = RouteTable()
    for number in range(200):
        table.announce(f"ns/{number}", [ip_address(f"198.51.100.{number}")], WIDE)
    table.changes()
    table.announce("ns/one-more", [ip_address("198.51.100.250")], WIDE)
    assert {str(prefix) for prefix in table.changes()} == {"198.51.100.250/32"}


def calls_for_one_more(services: int) -> int:
    """Count the calls of any function that one more service takes, to come and to go."""
    table, peer = RouteTable(), AdjRibOut()
    peer.open(frozenset({4}))

    def tell() -> None:
        changes = table.changes()
        wanted = {prefix: RouteAttributes(r.local_pref) for prefix, r in changes.items() if r}
        peer.change(wanted, changes.keys() - wanted.keys())
        peer.take(4096)

    for number in range(services):
        table.announce(f"ns/{number}", [ip_address(0xC6330000 + number)], WIDE)
    tell()
    address, calls = ip_address("198.51.255.250"), 0
    table.announce("ns/neighbor", [ip_address("198.51.255.251")], WIDE)
    tell()

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    gc.disable()  # who listens to it would be counted
    sys.setprofile(count)
    try:
        table.announce("ns/one-more", [address], WIDE)
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


def test_it_says_at_all_times_what_all_services_together_say() -> None:
    chance = random.Random(1)
    table, announced, known = RouteTable(), {}, {}
    for _ in range(2000):
        key = f"ns/{chance.randrange(40)}"
        if key in announced and chance.random() < 0.5:
            del announced[key]
            table.withdraw(key)
        else:
            addresses = [ip_address(f"198.51.100.{chance.randrange(256)}")]
            if chance.random() < 0.5:
                addresses.append(ip_address(f"2001:db8::{chance.randrange(16):x}"))
            announced[key] = (addresses, chance.choice((HOSTS, WIDE, MARKED)))
            table.announce(key, *announced[key])
        if chance.random() < 0.5:
            for prefix, changed in table.changes().items():
                assert known.get(prefix) != changed, "no change"
                known[prefix] = changed
            now = {prefix: route for prefix, route in known.items() if route is not None}
            assert now == table.routes
            assert frozenset(now.values()) == routes_for(announced.values())
