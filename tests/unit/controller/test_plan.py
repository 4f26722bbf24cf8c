"""What a configuration would do: the fates of services, pools and routes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.objects import config, pool, service
from support.snapshots import snapshot

from controller.orphaned_addresses import OrphanPolicy
from controller.plan import Fate, Plan, PoolFate, make_plan
from metallb_py.model.config import BgpAdvertisement, Protocol

NOW = "{name: a, protocol: layer2, addresses: [192.0.2.0/31]}"
WEB = service("web", ips=("192.0.2.0",), pool="a")
ELSEWHERE = config(pool("b", "198.51.100.0/31"))


def fates(plan: Plan) -> dict[str, Fate]:
    return {service.key: service.fate for service in plan.services}


def test_nothing_changes() -> None:
    plan = make_plan(snapshot(NOW, WEB), config(pool("a", "192.0.2.0/31")), OrphanPolicy.DRAIN)
    assert fates(plan) == {"default/web": Fate.KEEPS}
    assert not plan.affected
    assert not plan.pools
    assert not plan.routes_appearing
    assert not plan.routes_going


@pytest.mark.parametrize(
    ("policy", "fate", "pools", "after"),
    [
        (OrphanPolicy.DRAIN, Fate.DRAINS, {"a": "drains", "b": "appears"}, "192.0.2.0"),
        (OrphanPolicy.RENUMBER, Fate.LOSES, {"a": "goes", "b": "appears"}, "198.51.100.0"),
        (OrphanPolicy.REFUSE, Fate.KEEPS, {}, "192.0.2.0"),
    ],
)
def test_a_pool_in_use_goes(
    policy: OrphanPolicy, fate: Fate, pools: dict[str, str], after: str
) -> None:
    plan = make_plan(snapshot(NOW, WEB), ELSEWHERE, policy)
    assert fates(plan) == {"default/web": fate}
    assert plan.pools == pools
    (web,) = plan.services
    assert web.before == (ip_address("192.0.2.0"),)
    assert web.after == (ip_address(after),)
    assert bool(plan.refusal) == (policy is OrphanPolicy.REFUSE)


def test_a_service_that_would_be_left_without() -> None:
    others = (service("b", ips=("192.0.2.1",), pool="a"),)
    small = config(pool("c", "198.51.100.0/32"))
    plan = make_plan(snapshot(NOW, WEB, *others), small, OrphanPolicy.RENUMBER)
    assert fates(plan) == {"default/b": Fate.LOSES, "default/web": Fate.LOSES}
    (left,) = (each for each in plan.services if not each.after)
    assert 'pool "c": no ipv4 address free' in left.detail


def test_a_waiting_service_would_be_served() -> None:
    waiting = service("late", load_balancer_ip="192.0.2.9")
    plan = make_plan(snapshot(NOW, WEB, waiting), config(pool("a", "192.0.2.0/24")), "drain")  # type: ignore[arg-type]
    assert fates(plan) == {"default/late": Fate.GETS, "default/web": Fate.KEEPS}
    assert plan.pools == {"a": PoolFate.CHANGES}


def test_an_address_that_is_announced_in_another_way() -> None:
    by_bgp = config(pool("a", "192.0.2.0/31", protocol=Protocol.BGP))
    plan = make_plan(snapshot(NOW, WEB), by_bgp, OrphanPolicy.DRAIN)
    assert fates(plan) == {"default/web": Fate.CHANGES}
    assert [route.prefix for route in plan.routes_appearing] == [ip_network("192.0.2.0/32")]
    assert not plan.routes_going


def test_routes_for_some_routers_are_told_of_as_well() -> None:
    wide = BgpAdvertisement(aggregation_length=24, peers=frozenset({"tor-1"}))
    plain = pool("a", "192.0.2.0/24", protocol=Protocol.BGP)
    by_bgp = config(replace(plain, bgp_advertisements=(wide, BgpAdvertisement())))
    plan = make_plan(snapshot(NOW, WEB), by_bgp, OrphanPolicy.DRAIN)
    prefixes = [ip_network("192.0.2.0/24"), ip_network("192.0.2.0/32")]
    assert [route.prefix for route in plan.routes_appearing] == prefixes


def test_services_of_others_are_left_out() -> None:
    others = (
        service("classy", load_balancer_class="else", ips=("192.0.2.1",)),
        service("inner", kind="ClusterIP"),
    )
    assert make_plan(snapshot(NOW, *others), ELSEWHERE, OrphanPolicy.RENUMBER).services == ()


def test_the_first_configuration_of_all() -> None:
    held = service("web", ips=("192.0.2.0",))
    first = config(pool("a", "192.0.2.0/31"))
    plan = make_plan(snapshot(None, held, service("new")), first, OrphanPolicy.DRAIN)
    assert fates(plan) == {"default/new": Fate.GETS, "default/web": Fate.KEEPS}


def test_the_last_good_configuration_counts_where_the_latest_is_bad() -> None:
    stands = snapshot("{name: a}", WEB, last_good=f"address-pools: [{NOW}]")
    plan = make_plan(stands, ELSEWHERE, OrphanPolicy.DRAIN)
    assert fates(plan) == {"default/web": Fate.DRAINS}


def test_a_draining_pool_goes_with_a_configuration_that_takes_it_back() -> None:
    drains = '[{"name":"a","protocol":"layer2","cidrs":["192.0.2.0/31"],"advertisements":[]}]'
    other = "{name: b, protocol: layer2, addresses: [198.51.100.0/31]}"
    stands = snapshot(other, WEB, draining=drains)
    assert fates(make_plan(stands, ELSEWHERE, OrphanPolicy.DRAIN)) == {"default/web": Fate.KEEPS}
    both = config(pool("a", "192.0.2.0/31"), *ELSEWHERE.pools)
    plan = make_plan(stands, both, OrphanPolicy.DRAIN)
    assert fates(plan) == {"default/web": Fate.KEEPS}
    assert plan.pools == {"a": PoolFate.APPEARS}
