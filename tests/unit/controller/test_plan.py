"""Plan of a configuration: the changes of services, pools and routes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.kube.objects import config, pool, service
from support.kube.snapshots import snapshot

from controller.orphaned_addresses import OrphanPolicy
from controller.plan import Change, Plan, PoolChange, make_plan
from metallb_py.model.config import BgpAdvertisement, Protocol

NOW = "{name: a, protocol: layer2, addresses: [192.0.2.0/31]}"
WEB = service("web", ips=("192.0.2.0",), pool="a")
ELSEWHERE = config(pool("b", "198.51.100.0/31"))


def changes(plan: Plan) -> dict[str, Change]:
    return {service.key: service.change for service in plan.services}


def test_nothing_changes() -> None:
    plan = make_plan(snapshot(NOW, WEB), config(pool("a", "192.0.2.0/31")), OrphanPolicy.DRAIN)
    assert changes(plan) == {"default/web": Change.KEEPS}
    assert not plan.affected
    assert not plan.pools
    assert not plan.routes_advertised
    assert not plan.routes_withdrawn


@pytest.mark.parametrize(
    ("policy", "change", "pools", "after"),
    [
        (OrphanPolicy.DRAIN, Change.DRAINS, {"a": "drains", "b": "appears"}, "192.0.2.0"),
        (OrphanPolicy.RENUMBER, Change.LOSES, {"a": "goes", "b": "appears"}, "198.51.100.0"),
        (OrphanPolicy.REFUSE, Change.KEEPS, {}, "192.0.2.0"),
    ],
)
def test_a_pool_in_use_that_is_removed(
    policy: OrphanPolicy, change: Change, pools: dict[str, str], after: str
) -> None:
    plan = make_plan(snapshot(NOW, WEB), ELSEWHERE, policy)
    assert changes(plan) == {"default/web": change}
    assert plan.pools == pools
    (web,) = plan.services
    assert web.before == (ip_address("192.0.2.0"),)
    assert web.after == (ip_address(after),)
    assert bool(plan.refusal) == (policy is OrphanPolicy.REFUSE)


def test_a_service_that_would_lose_its_address() -> None:
    others = (service("b", ips=("192.0.2.1",), pool="a"),)
    small = config(pool("c", "198.51.100.0/32"))
    plan = make_plan(snapshot(NOW, WEB, *others), small, OrphanPolicy.RENUMBER)
    assert changes(plan) == {"default/b": Change.LOSES, "default/web": Change.LOSES}
    (left,) = (each for each in plan.services if not each.after)
    assert 'pool "c": no ipv4 address free' in left.detail


def test_a_pending_service_that_would_get_an_address() -> None:
    waiting = service("late", load_balancer_ip="192.0.2.9")
    plan = make_plan(snapshot(NOW, WEB, waiting), config(pool("a", "192.0.2.0/24")), "drain")  # type: ignore[arg-type]
    assert changes(plan) == {"default/late": Change.GETS, "default/web": Change.KEEPS}
    assert plan.pools == {"a": PoolChange.CHANGES}


def test_an_address_that_is_announced_by_another_protocol() -> None:
    by_bgp = config(pool("a", "192.0.2.0/31", protocol=Protocol.BGP))
    plan = make_plan(snapshot(NOW, WEB), by_bgp, OrphanPolicy.DRAIN)
    assert changes(plan) == {"default/web": Change.CHANGES}
    assert list(plan.routes_advertised) == [ip_network("192.0.2.0/32")]
    assert not plan.routes_withdrawn


def test_routes_for_selected_peers_are_listed_as_well() -> None:
    wide = BgpAdvertisement(aggregation_length=24, peers=frozenset({"tor-1"}))
    plain = pool("a", "192.0.2.0/24", protocol=Protocol.BGP)
    by_bgp = config(replace(plain, bgp_advertisements=(wide, BgpAdvertisement())))
    plan = make_plan(snapshot(NOW, WEB), by_bgp, OrphanPolicy.DRAIN)
    prefixes = [ip_network("192.0.2.0/24"), ip_network("192.0.2.0/32")]
    assert list(plan.routes_advertised) == prefixes


def test_services_of_other_types_and_classes_are_left_out() -> None:
    others = (
        service("classy", load_balancer_class="else", ips=("192.0.2.1",)),
        service("inner", kind="ClusterIP"),
    )
    assert make_plan(snapshot(NOW, *others), ELSEWHERE, OrphanPolicy.RENUMBER).services == ()


def test_the_first_configuration() -> None:
    held = service("web", ips=("192.0.2.0",))
    first = config(pool("a", "192.0.2.0/31"))
    plan = make_plan(snapshot(None, held, service("new")), first, OrphanPolicy.DRAIN)
    assert changes(plan) == {"default/new": Change.GETS, "default/web": Change.KEEPS}


def test_an_invalid_configuration_is_replaced_by_the_last_valid_one() -> None:
    current = snapshot("{name: a}", WEB, last_good=f"address-pools: [{NOW}]")
    plan = make_plan(current, ELSEWHERE, OrphanPolicy.DRAIN)
    assert changes(plan) == {"default/web": Change.DRAINS}


def test_a_draining_pool_ends_with_a_configuration_that_contains_it() -> None:
    drains = '[{"name":"a","protocol":"layer2","cidrs":["192.0.2.0/31"],"advertisements":[]}]'
    other = "{name: b, protocol: layer2, addresses: [198.51.100.0/31]}"
    current = snapshot(other, WEB, draining=drains)
    assert changes(make_plan(current, ELSEWHERE, OrphanPolicy.DRAIN)) == {
        "default/web": Change.KEEPS
    }
    both = config(pool("a", "192.0.2.0/31"), *ELSEWHERE.pools)
    plan = make_plan(current, both, OrphanPolicy.DRAIN)
    assert changes(plan) == {"default/web": Change.KEEPS}
    assert plan.pools == {"a": PoolChange.APPEARS}
