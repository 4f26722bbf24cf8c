"""The controller's core: events in, effects out."""

from __future__ import annotations

from collections.abc import Callable, ItemsView
from ipaddress import ip_address

import msgspec
import pytest
from support.kube.assignment import written
from support.kube.objects import config, pool, selector, service

from controller.assignment import Reason
from controller.core import Controller
from controller.effects import (
    ConfigApplied,
    ConfigRefused,
    Decided,
    DrainingChanged,
    Effect,
    Orphaned,
    Started,
    StatusContested,
    WriteStatus,
)
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.config.compile.read_config import read_config
from metallb_py.kube.objects import Service, ServicePort
from metallb_py.model.pool_access import Tenancy

SMALL = config(pool("a", "192.0.2.0/31"))


def started(*services: object, pools: object = SMALL, **options: object) -> Controller:
    core = Controller(**options)  # type: ignore[arg-type]
    for item in services:
        core.service_changed(item.key, item)  # type: ignore[attr-defined]
    core.config_changed(pools)  # type: ignore[arg-type]
    core.services_synced()
    return core


def test_nothing_is_allocated_before_config_and_services_are_synced() -> None:
    core = Controller()
    assert core.service_changed("default/web", service()) == ()
    assert core.config_changed(SMALL) == (ConfigApplied(SMALL),)
    effects = core.services_synced()
    assert effects[0] == Started()
    assert written(effects) == {"web": ["192.0.2.0"]}


def test_without_a_configuration_there_are_no_effects() -> None:
    core = Controller()
    core.service_changed("default/web", service(ips=("192.0.2.1",)))
    assert core.services_synced() == ()


def test_a_restart_keeps_held_addresses_in_any_order_of_services() -> None:
    core = Controller()
    core.config_changed(SMALL)
    core.service_changed("default/new", service("new", created="2025-01-01T00:00:00Z"))
    core.service_changed("default/old", service("old", ips=("192.0.2.0",), pool="a"))
    assert written(core.services_synced()) == {"new": ["192.0.2.1"]}


def test_the_oldest_pending_service_is_served_first() -> None:
    core = started(
        service("c", created="2026-01-03T00:00:00Z"),
        service("b", created="2026-01-01T00:00:00Z"),
        service("a", created="2026-01-02T00:00:00Z"),
    )
    assert core.pending == {"default/c"}
    effects = core.service_changed("default/b", None)
    assert written(effects) == {"c": ["192.0.2.0"]}
    assert not core.pending


def test_a_release_retries_pending_services() -> None:
    core = started(service("a"), service("b"), service("c"))
    effects = core.service_changed("default/a", service("a", kind="ClusterIP", version="2"))
    assert written(effects) == {"c": ["192.0.2.0"]}


def test_a_new_configuration_retries_pending_services() -> None:
    core = started(service("a"), service("b"), service("c"))
    effects = core.config_changed(config(pool("a", "192.0.2.0/31"), pool("b", "192.0.2.8/31")))
    assert written(effects) == {"a": ["192.0.2.0"], "b": ["192.0.2.1"], "c": ["192.0.2.8"]}


def test_a_status_with_the_right_addresses_is_not_written_again() -> None:
    core = started(service())
    shown = service(ips=("192.0.2.0",), pool="a", version="2")
    assert core.service_changed("default/web", shown) == ()


def test_the_pool_of_an_address_is_written_where_it_is_missing() -> None:
    core = Controller()
    core.config_changed(SMALL)
    core.service_changed("default/web", service(ips=("192.0.2.0",)))
    assert [
        (e.addresses, e.pool) for e in core.services_synced() if isinstance(e, WriteStatus)
    ] == [((ip_address("192.0.2.0"),), "a")]


def test_refuse_policy_holds_a_configuration_until_it_has_no_orphans() -> None:
    core = started(service(), service("other"), policy=OrphanPolicy.REFUSE)
    elsewhere = config(pool("b", "198.51.100.0/31"))
    refused, *orphans = core.config_changed(elsewhere)
    assert isinstance(refused, ConfigRefused)
    assert [o.service.key for o in orphans if isinstance(o, Orphaned)] == [
        "default/other",
        "default/web",
    ]
    assert refused.problems[0] == (
        'new config not compatible with assigned IPs: service "default/other" cannot own '
        '["192.0.2.0"] under new config'
    )
    assert len(refused.problems) == 2
    core.service_changed("default/web", None)
    effects = core.service_changed("default/other", None)
    assert ConfigApplied(elsewhere) in effects
    assert written(core.service_changed("default/n", service("n"))) == {"n": ["198.51.100.0"]}


def test_a_refused_configuration_is_dropped_when_an_invalid_one_follows() -> None:
    core = started(service(), policy=OrphanPolicy.REFUSE)
    core.config_changed(config(pool("b", "198.51.100.0/31")))
    core.config_invalid()
    assert not any(
        isinstance(effect, ConfigApplied) for effect in core.service_changed("default/web", None)
    )


def test_a_reason_is_reported_once() -> None:
    core = started(service("a"), service("b"))
    waiting = service("late")
    first = core.service_changed("default/late", waiting)
    assert any(isinstance(effect, Decided) for effect in first)
    assert core.service_changed("default/late", service("late", version="2")) == ()


def test_services_of_another_load_balancer_class_are_ignored() -> None:
    core = started(service(load_balancer_class="other", ips=("192.0.2.0",)))
    assert written(core.service_changed("default/b", service("b"))) == {"b": ["192.0.2.0"]}


def test_services_of_the_configured_load_balancer_class_are_served() -> None:
    core = started(load_balancer_class="ours")
    assert core.service_changed("default/a", service("a")) == ()
    ours = service("b", load_balancer_class="ours")
    assert written(core.service_changed("default/b", ours)) == {"b": ["192.0.2.0"]}


def test_a_service_recreated_with_another_uid_is_another_service() -> None:
    core = started(service(uid="1"), service("other"))
    again = service(uid="2", annotations={"metallb.universe.tf/address-pool": "a"})
    assert written(core.service_changed("default/web", again)) == {"web": ["192.0.2.1"]}


def test_an_address_freed_by_an_unseen_deletion_goes_to_a_pending_service() -> None:
    core = started(service("a"), service("b"), service("c"))
    again = service("a", uid="2", load_balancer_ip="203.0.113.1")
    assert written(core.service_changed("default/a", again)) == {"c": ["192.0.2.0"]}


def test_retry_empties_the_status_of_a_service_that_is_no_load_balancer() -> None:
    core = started(service(ips=("192.0.2.0",), pool="a"))
    stopped = service(ips=("192.0.2.0",), pool="a", kind="ClusterIP", version="2")
    core.service_changed("default/web", stopped)
    assert written(core.retry("default/web")) == {"web": []}
    assert core.service_changed("default/web", service(kind="ClusterIP", version="3")) == ()
    assert core.retry("default/web") == ()


def test_retry_removes_the_pool_of_a_service_that_is_no_load_balancer() -> None:
    """Some API servers empty the status when the type changes, and leave the annotation."""
    core = started(service(ips=("192.0.2.0",), pool="a"))
    stopped = service(pool="a", kind="ClusterIP", version="2")
    assert written(core.service_changed("default/web", stopped)) == {"web": []}
    assert written(core.retry("default/web")) == {"web": []}, "the write failed"
    assert core.service_changed("default/web", service(kind="ClusterIP", version="3")) == ()
    assert core.retry("default/web") == ()


def test_services_that_never_were_load_balancers_are_ignored() -> None:
    core = started()
    assert core.service_changed("default/x", service("x", kind="ClusterIP")) == ()
    assert core.service_changed("default/x", None) == ()


def test_a_second_configuration_before_the_sync_waits_for_orphans() -> None:
    core = Controller(policy=OrphanPolicy.REFUSE)
    holder = service("holder", ips=("192.0.2.1",))
    core.service_changed(holder.key, holder)
    core.config_changed(SMALL)
    elsewhere = config(pool("b", "198.51.100.0/31"))
    assert core.config_changed(elsewhere) == ()
    effects = core.services_synced()
    assert any(isinstance(effect, ConfigRefused) for effect in effects)
    assert ConfigApplied(elsewhere) in core.service_changed(holder.key, None)


ELSEWHERE = config(pool("b", "198.51.100.0/31"))


def draining(effects: tuple[Effect, ...]) -> list[list[str]]:
    return [[p.name for p in e.pools] for e in effects if isinstance(e, DrainingChanged)]


def test_drain_policy_applies_a_configuration_and_keeps_held_addresses() -> None:
    core = started(service())
    effects = core.config_changed(ELSEWHERE)
    assert ConfigApplied(ELSEWHERE) in effects
    assert draining(effects) == [["a (draining)"]]
    assert written(effects) == {"web": ["192.0.2.0"]}, "as before: its write was lost"
    assert written(core.service_changed("default/new", service("new"))) == {"new": ["198.51.100.0"]}


def test_nothing_is_allocated_from_a_draining_pool() -> None:
    core = started(service())
    core.config_changed(config())
    requesting = {"metallb.universe.tf/address-pool": "a"}
    assert not written(core.service_changed("default/x", service("x", annotations=requesting)))
    explicit = service("y", load_balancer_ip="192.0.2.1")
    assert not written(core.service_changed("default/y", explicit))
    assert core.pending == {"default/x", "default/y"}


def test_a_draining_pool_is_removed_with_its_last_user() -> None:
    core = started(service("one"), service("two"))
    core.config_changed(ELSEWHERE)
    assert draining(core.service_changed("default/one", None)) == []
    assert draining(core.service_changed("default/two", None)) == [[]]


def test_a_draining_pool_that_returns_is_a_regular_pool_again() -> None:
    core = started(service())
    core.config_changed(ELSEWHERE)
    assert draining(core.config_changed(SMALL)) == [[]]
    assert core.allocator.held("default/web").pool == "a"  # type: ignore[union-attr]


def test_a_new_pool_may_have_the_name_of_a_draining_one() -> None:
    core = started(service(annotations={"metallb.universe.tf/address-pool": "a"}))
    renumbered = config(pool("a", "198.51.100.0/31"))
    core.config_changed(renumbered)
    again = service(
        ips=("192.0.2.0",),
        pool="a",
        version="2",
        annotations={"metallb.universe.tf/address-pool": "a"},
    )
    assert core.service_changed("default/web", again) == (), "it requested a pool of that name"
    assert written(core.service_changed("default/n", service("n"))) == {"n": ["198.51.100.0"]}


def test_a_pool_may_have_the_generated_name_of_a_draining_pool() -> None:
    core = started(service())
    text = "address-pools: [{name: a (draining), protocol: layer2, addresses: [198.51.100.0/31]}]"
    effects = core.config_changed(read_config(text))
    assert draining(effects) == [["a (draining)"]]
    assert written(effects) == {"web": ["192.0.2.0"]}
    requesting = service("n", annotations={"metallb.universe.tf/address-pool": "a (draining)"})
    (write,) = (
        e for e in core.service_changed(requesting.key, requesting) if isinstance(e, WriteStatus)
    )
    assert (list(map(str, write.addresses)), write.pool) == (["198.51.100.0"], "a (draining)")
    effects = core.config_changed(config(pool("c", "203.0.113.0/31")))
    assert draining(effects) == [["a (draining)", "a (draining) (draining)"]]
    assert len(core.allocator.usage()) == 3


def test_pools_of_one_name_may_drain_at_the_same_time() -> None:
    core = started(service())
    core.config_changed(config(pool("a", "198.51.100.0/31")))
    core.service_changed("default/n", service("n"))
    effects = core.config_changed(config(pool("a", "203.0.113.0/31")))
    assert draining(effects) == [["a (draining)", "a (draining 2)"]]
    assert written(effects) == {"web": ["192.0.2.0"], "n": ["198.51.100.0"]}
    assert draining(core.service_changed("default/web", None)) == [["a (draining 2)"]]


def test_a_restart_restores_the_draining_pools() -> None:
    core = started(service())
    (change,) = (e for e in core.config_changed(ELSEWHERE) if isinstance(e, DrainingChanged))
    reborn = Controller()
    reborn.config_changed(ELSEWHERE, change.pools)
    reborn.service_changed("default/web", service(ips=("192.0.2.0",), pool="a"))
    reborn.service_changed("default/new", service("new", created="2025-01-01T00:00:00Z"))
    assert written(reborn.services_synced()) == {"new": ["198.51.100.0"]}


def test_a_restart_drops_draining_pools_without_holdings() -> None:
    core = started(service())
    (change,) = (e for e in core.config_changed(ELSEWHERE) if isinstance(e, DrainingChanged))
    reborn = Controller()
    reborn.config_changed(ELSEWHERE, change.pools)
    assert draining(reborn.services_synced()) == [[]]


def test_renumber_policy_allocates_other_addresses_at_once() -> None:
    core = started(service(), policy=OrphanPolicy.RENUMBER)
    core.service_changed("default/web", service(ips=("192.0.2.0",), version="2"))
    effects = core.config_changed(ELSEWHERE)
    assert [o.policy for o in effects if isinstance(o, Orphaned)] == [OrphanPolicy.RENUMBER]
    assert written(effects) == {"web": ["198.51.100.0"]}
    assert draining(effects) == []


FRONT = Tenancy(namespace_selectors=(selector(team="front"),))
TENANTED = config(
    pool("ours", "192.0.2.0/31", tenancy=FRONT, priority=1), pool("rest", "192.0.2.8/31")
)


def test_a_configuration_that_selects_namespaces_waits_for_their_labels() -> None:
    core = started(service("a"), pools=TENANTED)
    assert core.namespace_changed("default", {"team": "front"}) == ()
    assert written(core.namespaces_synced()) == {"a": ["192.0.2.0"]}


def test_a_configuration_in_force_stays_until_namespace_labels_are_synced() -> None:
    core = started(service("a"))
    assert core.config_changed(TENANTED) == ()
    assert written(core.service_changed("default/b", service("b"))) == {"b": ["192.0.2.1"]}
    core.namespace_changed("default", {"team": "back"})
    assert core.namespaces_synced()[0] == ConfigApplied(TENANTED)
    assert written(core.service_changed("default/c", service("c"))) == {"c": ["192.0.2.8"]}


def test_a_service_of_an_unknown_namespace_waits_for_its_labels() -> None:
    core = started(pools=TENANTED)
    core.namespaces_synced()
    effects = core.service_changed("default/a", service("a"))
    assert written(effects) == {}
    (decided,) = (effect for effect in effects if isinstance(effect, Decided))
    assert decided.outcome.verdict.detail == 'the labels of namespace "default" are not known yet'
    assert written(core.namespace_changed("default", {"team": "front"})) == {"a": ["192.0.2.0"]}


def test_new_namespace_labels_release_nothing_and_retry_pending_services() -> None:
    core = started(service("a"), pools=config(pool("ours", "192.0.2.0/31", tenancy=FRONT)))
    core.namespace_changed("default", {"team": "front"})
    assert written(core.namespaces_synced()) == {"a": ["192.0.2.0"]}
    assert core.namespace_changed("default", {"team": "back"}) == ()
    assert written(core.service_changed("default/b", service("b"))) == {}
    assert core.pending == {"default/b"}
    assert written(core.namespace_changed("default", {"team": "front"})) == {"b": ["192.0.2.1"]}


def test_a_restart_keeps_an_address_whose_pool_is_closed_by_now() -> None:
    core = Controller()
    core.namespace_changed("default", {})
    core.namespaces_synced()
    core.config_changed(TENANTED)
    core.service_changed("default/a", service("a", ips=("192.0.2.1",), pool="ours"))
    assert written(core.services_synced()) == {}
    assert core.allocator.held("default/a") is not None


CLOSED = config(
    pool("a", "192.0.2.0/31", tenancy=Tenancy(frozenset({"x"}))), pool("b", "192.0.2.8/31")
)


@pytest.mark.parametrize(
    ("policy", "addresses"),
    [
        (OrphanPolicy.DRAIN, {"a": ["192.0.2.0"]}),  # as before
        (OrphanPolicy.REFUSE, {}),
        (OrphanPolicy.RENUMBER, {"a": ["192.0.2.8"]}),
    ],
)
def test_a_pool_closed_to_its_users_follows_the_orphan_policy(
    policy: OrphanPolicy, addresses: dict[str, list[str]]
) -> None:
    core = started(service("a"), policy=policy)
    effects = core.config_changed(CLOSED)
    assert written(effects) == addresses
    refused = any(isinstance(effect, ConfigRefused) for effect in effects)
    assert refused == (policy is OrphanPolicy.REFUSE)


def test_pools_of_lower_priority_are_used_up_first() -> None:
    pools = config(
        pool("last", "192.0.2.0/32"),
        pool("second", "192.0.2.1/32", priority=2),
        pool("first", "192.0.2.2/32", priority=1),
    )
    names = ("a", "b", "c")
    core = started(pools=pools)
    given = [written(core.service_changed(f"default/{n}", service(n)))[n] for n in names]
    assert given == [["192.0.2.2"], ["192.0.2.1"], ["192.0.2.0"]]


@pytest.mark.parametrize(
    "requested",
    [{"load_balancer_ip": "192.0.2.0"}, {"annotations": {"metallb.universe.tf/address-pool": "a"}}],
)
def test_a_closed_pool_refuses_explicit_requests(requested: dict[str, object]) -> None:
    core = started(pools=CLOSED)
    effects = core.service_changed("default/a", service("a", **requested))  # type: ignore[arg-type]
    assert written(effects) == {}
    (decided,) = (effect for effect in effects if isinstance(effect, Decided))
    assert 'pool "a": not for namespace "default"' in decided.outcome.verdict.detail


# Edits of a Service that holds addresses


FULL = config(
    pool("a", "192.0.2.0/31"),
    pool("full", "198.51.100.0/32", auto_assign=False),
    pool("both", "203.0.113.0/30", "2001:db8::/126", auto_assign=False),
)
IPS = "metallb.universe.tf/loadBalancerIPs"
POOL = "metallb.universe.tf/address-pool"
SHARE = "metallb.universe.tf/allow-shared-ip"
DUAL = ("10.96.0.10", "fd00::10")
TLS = (ServicePort(443),)


def held(core: Controller, name: str = "web") -> list[str]:
    holding = core.allocator.held(f"default/{name}")
    return [str(address) for address in holding.addresses] if holding else []


def detail(core: Controller, name: str = "web") -> str:
    outcome = core.outcome(f"default/{name}")
    assert outcome is not None
    return outcome.verdict.detail


def edit(core: Controller, item: Service, now: float | None = None) -> tuple[Effect, ...]:
    return core.service_changed(item.key, item, now)


@pytest.mark.parametrize(
    ("requested", "waits_for"),
    [
        ({"load_balancer_ip": "192.0.2.77"}, "192.0.2.77 is in no pool"),
        ({"load_balancer_ip": "192.0.2.1"}, "address also in use by default/other"),
        ({"annotations": {POOL: "full"}}, 'pool "full": no ipv4 address free'),
        ({"annotations": {POOL: "none"}}, 'unknown pool "none"'),
        (
            {"annotations": {IPS: "203.0.113.1,2001:db8::1"}, "cluster_ips": DUAL},
            "2001:db8::1: it has no sharing key",
        ),
        ({"cluster_ips": DUAL, "ip_family_policy": "RequireDualStack"}, "no ipv6 addresses in it"),
        ({"load_balancer_ip": "nonsense"}, 'invalid spec.loadBalancerIP "nonsense"'),
        ({"load_balancer_ip": "2001:db8::1"}, "does not match the ipFamily"),
        ({"cluster_ips": ("garbage",)}, "Failed to retrieve ClusterIPs IPFamily"),
    ],
)
def test_a_service_keeps_its_address_until_the_requested_one_is_free(
    requested: dict[str, object], waits_for: str
) -> None:
    others = (
        service("other", load_balancer_ip="192.0.2.1"),
        service("third", annotations={POOL: "full"}),
        service("sixth", load_balancer_ip="2001:db8::1", cluster_ips=DUAL[1:]),
    )
    core = started(service(ips=("192.0.2.0",), pool="a"), *others, pools=FULL)
    requesting = service(ips=("192.0.2.0",), pool="a", version="2", **requested)  # type: ignore[arg-type]
    effects = edit(core, requesting)
    assert held(core) == ["192.0.2.0"]
    assert not written(effects)
    (decided,) = (effect for effect in effects if isinstance(effect, Decided))
    assert not decided.outcome.verdict.positive
    assert waits_for in detail(core)


@pytest.mark.parametrize(
    ("requested", "gone", "then"),
    [
        ({"load_balancer_ip": "192.0.2.1"}, "other", ["192.0.2.1"]),
        ({"annotations": {POOL: "full"}}, "third", ["198.51.100.0"]),
    ],
)
def test_a_pending_service_gets_the_requested_address_when_it_is_free(
    requested: dict[str, object], gone: str, then: list[str]
) -> None:
    others = (
        service("other", load_balancer_ip="192.0.2.1"),
        service("third", annotations={POOL: "full"}),
    )
    core = started(service(ips=("192.0.2.0",), pool="a"), *others, pools=FULL)
    edit(core, service(ips=("192.0.2.0",), pool="a", version="2", **requested))  # type: ignore[arg-type]
    late = edit(core, service("late", created="2026-02-01T00:00:00Z"))
    assert not written(late), "what it keeps is not free"
    effects = core.service_changed(f"default/{gone}", None)
    assert written(effects)["web"] == then
    assert written(effects)["late"] == ["192.0.2.0"]


def test_two_services_that_request_each_others_address_exchange_them() -> None:
    core = started(service("a"), service("b"))
    edit(core, service("a", load_balancer_ip="192.0.2.1", version="2"))
    assert held(core, "a") == ["192.0.2.0"]
    effects = edit(core, service("b", load_balancer_ip="192.0.2.0", version="2"))
    assert written(effects) == {"a": ["192.0.2.1"], "b": ["192.0.2.0"]}
    decided = {e.service.metadata.name: e.outcome for e in effects if isinstance(e, Decided)}
    assert all(outcome.allocated and outcome.verdict.positive for outcome in decided.values())
    assert not core.pending


def test_a_restart_reclaims_the_kept_address_of_a_pending_service() -> None:
    waits = service("waits", ips=("192.0.2.0",), pool="a", load_balancer_ip="192.0.2.1")
    owner = service("owner", ips=("192.0.2.1",), pool="a", created="2027-01-01T00:00:00Z")
    core = started(waits, owner, service("new", created="2025-01-01T00:00:00Z"))
    assert (held(core, "waits"), held(core, "owner")) == (["192.0.2.0"], ["192.0.2.1"])
    assert core.pending == {"default/new"}


def test_prefer_dual_stack_gets_its_second_address_when_one_is_free() -> None:
    pools = config(pool("a", "192.0.2.0/30", "2001:db8::/128"))
    core = started(service("six", cluster_ips=DUAL[1:]), pools=pools)
    prefers = service(cluster_ips=DUAL, ip_family_policy="PreferDualStack")
    assert written(edit(core, prefers)) == {"web": ["192.0.2.0"]}
    effects = core.service_changed("default/six", None)
    assert written(effects) == {"web": ["192.0.2.0", "2001:db8::"]}


def test_prefer_dual_stack_gets_its_second_address_when_the_pool_grows() -> None:
    core = started(service(cluster_ips=DUAL, ip_family_policy="PreferDualStack"))
    assert held(core) == ["192.0.2.0"]
    core.config_changed(config(pool("a", "192.0.2.0/31", "2001:db8::/127")))
    assert held(core) == ["192.0.2.0", "2001:db8::"]


def local(name: str, port: int, **changed: object) -> Service:
    return service(
        name,
        ports=(ServicePort(port),),
        annotations={SHARE: "k"},
        selector={"app": "web"},
        version="2",
        **changed,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"external_traffic_policy": "Local"},
        {"annotations": {SHARE: "other"}},
        {"annotations": {SHARE: "other"}, "external_traffic_policy": "Local"},
    ],
)
@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "a", "b")])
def test_sharers_that_change_their_terms_in_turn_keep_their_address(
    change: dict[str, object], names: tuple[str, ...]
) -> None:
    ports = {"a": 80, "b": 443, "c": 8080}
    core = started(*(local(name, ports[name]) for name in sorted(names)))
    assert {name: held(core, name) for name in names} == {name: ["192.0.2.0"] for name in names}
    for second, name in enumerate(names):
        fields = {"ports": (ServicePort(ports[name]),), "annotations": {SHARE: "k"}, **change}
        changed = service(name, selector={"app": "web"}, version="3", **fields)  # type: ignore[arg-type]
        effects = edit(core, changed, float(second))
        assert not any(addresses != ["192.0.2.0"] for addresses in written(effects).values())
    assert all(held(core, name) == ["192.0.2.0"] for name in names)
    assert all(core.outcome(f"default/{n}").verdict.positive for n in names)  # type: ignore[union-attr]
    core.handle_timeout(60.0)
    assert all(held(core, name) == ["192.0.2.0"] for name in names)


def test_a_sharer_that_the_others_do_not_follow_moves_after_the_grace() -> None:
    core = started(local("a", 80), local("b", 443))
    edit(core, local("a", 80, external_traffic_policy="Local"), 100.0)
    assert held(core, "a") == ["192.0.2.0"]
    assert "its externalTrafficPolicy is not that of default/b" in detail(core, "a")
    deadline = core.next_deadline()
    assert deadline == 110.0
    core.handle_timeout(109.9)
    assert held(core, "a") == ["192.0.2.0"]
    assert written(core.handle_timeout(deadline)) == {"a": ["192.0.2.1"]}
    assert held(core, "b") == ["192.0.2.0"]


def test_a_new_sharer_cannot_take_a_port_during_the_grace() -> None:
    core = started(local("a", 80), local("b", 443))
    edit(core, local("a", 8080, external_traffic_policy="Local"), 100.0)
    edit(core, local("c", 8080), 101.0)
    assert held(core, "a") == ["192.0.2.0"]
    assert held(core, "c") == ["192.0.2.1"]


def test_sharers_that_swap_their_ports_share_again() -> None:
    core = started(local("a", 80), local("b", 443))
    edit(core, local("a", 443), 100.0)
    assert held(core, "a") == ["192.0.2.1"], "no two services share a port of an address"
    edit(core, local("b", 80), 101.0)
    assert held(core, "a") == held(core, "b") == ["192.0.2.0"]


def test_a_service_that_moved_stays_after_the_grace() -> None:
    core = started(local("a", 80), local("b", 443))
    edit(core, local("a", 443), 100.0)
    edit(core, local("b", 80), 111.0)
    assert held(core, "a") == ["192.0.2.1"]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_restart_within_the_grace_separates_no_sharers(order: tuple[str, ...]) -> None:
    created = {name: f"2026-01-0{place}T00:00:00Z" for place, name in enumerate(order, 1)}
    a = local("a", 80, ips=("192.0.2.0",), created=created["a"], external_traffic_policy="Local")
    core = started(a, local("b", 443, ips=("192.0.2.0",), created=created["b"]))
    b = local("b", 443, ips=("192.0.2.0",), created=created["b"], external_traffic_policy="Local")
    edit(core, b, 1.0)
    core.handle_timeout(60.0)
    assert held(core, "a") == held(core, "b") == ["192.0.2.0"]


def test_a_requested_pool_that_contradicts_the_address_is_reported() -> None:
    core = started(service(load_balancer_ip="192.0.2.0"), pools=FULL)
    requesting = {"load_balancer_ip": "192.0.2.0", "annotations": {POOL: "both"}, "version": "2"}
    effects = edit(core, service(**requesting))  # type: ignore[arg-type]
    assert held(core) == ["192.0.2.0"]
    (decided,) = (effect for effect in effects if isinstance(effect, Decided))
    assert decided.outcome.verdict.reason == Reason.DIFFERENT_POOL
    assert 'it asks for pool "both", and for ["192.0.2.0"] of pool "a"' in detail(core)


def deleting(item: Service) -> Service:
    meta = msgspec.structs.replace(item.metadata, deletion_timestamp="2026-02-01T00:00:00Z")
    return msgspec.structs.replace(item, metadata=meta)


def test_a_service_being_deleted_keeps_its_address_and_gets_no_other() -> None:
    core = started(service(), service("other"))
    edit(core, deleting(service(load_balancer_ip="192.0.2.9", cluster_ips=DUAL, version="2")))
    assert held(core) == ["192.0.2.1"]
    assert not written(edit(core, deleting(service("late"))))
    assert not written(core.service_changed("default/other", None))
    assert held(core, "late") == []


def test_a_restart_reclaims_the_address_of_a_service_being_deleted() -> None:
    core = started(deleting(service(ips=("192.0.2.1",), pool="a")), service("new"))
    assert (held(core), held(core, "new")) == (["192.0.2.1"], ["192.0.2.0"])


def contest(core: Controller, seconds: float) -> list[float]:
    """Have another controller overwrite each of our writes at once; return their times."""
    ours = service(ips=("192.0.2.0",), pool="a")
    theirs = service(ips=("172.16.0.1", "172.16.0.2"), pool="a")
    now, writes, contests = 0.0, [], []
    effects = edit(core, ours, now)
    while now < seconds:
        effects = edit(core, theirs, now)
        contests += [e for e in effects if isinstance(e, StatusContested)]
        while not written(effects):
            deadline = core.next_deadline()
            assert deadline is not None
            now = deadline
            effects = core.handle_timeout(now)
        writes.append(now)
        effects = edit(core, ours, now)
    assert [contest.foreign for contest in contests] == [("172.16.0.1", "172.16.0.2")]
    return writes


def test_a_contested_status_is_written_with_increasing_delay() -> None:
    core = started(service())
    writes = contest(core, 3600.0)
    assert len([now for now in writes if now <= 5.0]) <= 5
    assert len(writes) < 30
    assert held(core) == ["192.0.2.0"]


def test_a_contested_status_does_not_delay_another_address() -> None:
    core = started(service(), pools=FULL)
    contest(core, 60.0)
    moved = service(ips=("172.16.0.1",), pool="a", load_balancer_ip="203.0.113.2", version="9")
    assert written(edit(core, moved, 4000.0)) == {"web": ["203.0.113.2"]}


class Poison(dict[str, str]):
    """Labels that raise an exception when read, in place of a defect in the code."""

    def get(self, key: str, default: object = None) -> str:
        raise RecursionError(f"while reading {key}")

    def items(self) -> object:  # type: ignore[override]
        raise RecursionError("while reading all")


@pytest.mark.parametrize("place", ["selector", "labels", "annotations"])
def test_an_exception_for_one_service_is_the_verdict_of_that_service(place: str) -> None:
    pools = config(
        pool("a", "192.0.2.0/31", tenancy=Tenancy(service_selectors=(selector(tier="front"),))),
        pool("b", "198.51.100.0/31"),
    )
    core = started(service(), service("good"), pools=pools)
    before = held(core)
    poison = {place: Poison(x="y"), "external_traffic_policy": "Local"}
    bad = service(version="2", load_balancer_ip="192.0.2.0", **poison)  # type: ignore[arg-type]
    effects = edit(core, bad)
    (decided,) = (effect for effect in effects if isinstance(effect, Decided))
    assert decided.outcome.verdict.reason == Reason.INTERNAL_ERROR
    assert "internal error: RecursionError: while reading" in detail(core)
    assert held(core) == before
    assert edit(core, bad) == (), "it is reported once"
    assert written(core.service_changed("default/good", None)) == {}
    assert written(edit(core, service("next"))) == {"next": ["198.51.100.0"]}


@pytest.mark.parametrize("place", ["selector", "annotations"])
def test_an_exception_at_the_start_affects_one_service_only(place: str) -> None:
    poison = {place: Poison(x="y"), "external_traffic_policy": "Local"}
    bad = service("bad", ips=("192.0.2.0",), **poison)  # type: ignore[arg-type]
    core = started(bad, service("good", ips=("192.0.2.1",)))
    assert held(core, "good") == ["192.0.2.1"]
    outcome = core.outcome("default/bad")
    assert outcome is not None
    assert outcome.verdict.reason == Reason.INTERNAL_ERROR


# Order of the pools


def test_reserved_pools_come_first_in_order_of_priority() -> None:
    ours = Tenancy(frozenset({"default"}))
    pools = config(
        pool("general", "192.0.2.0/32"),
        pool("reserved", "192.0.2.1/32", tenancy=ours),
        pool("zero", "192.0.2.2/32", tenancy=ours, priority=0),
        pool("second", "192.0.2.3/32", priority=20),
        pool("first", "192.0.2.4/32", tenancy=ours, priority=10),
        pool("foreign", "192.0.2.5/32", tenancy=Tenancy(frozenset({"shop"})), priority=1),
    )
    core = started(pools=pools)
    for number in range(5):
        edit(core, service(f"s{number}"))
    assert [held(core, f"s{number}") for number in range(5)] == [
        ["192.0.2.4"],
        ["192.0.2.3"],
        ["192.0.2.1"],
        ["192.0.2.2"],
        ["192.0.2.0"],
    ]


def test_prefer_dual_stack_prefers_two_families_of_a_later_pool() -> None:
    pools = config(
        pool("first", "192.0.2.0/32", priority=1),
        pool("second", "198.51.100.0/32", "2001:db8::/128", priority=2),
    )
    core = started(service(cluster_ips=DUAL, ip_family_policy="PreferDualStack"), pools=pools)
    assert held(core) == ["198.51.100.0", "2001:db8::"]


# Many pending services


def test_a_pending_service_may_share_the_address_that_another_one_got() -> None:
    """They are of one group apart from their keys: the third may share the first one's address."""
    core = started(service("x"), service("y"))
    keys = {"b": "k", "c": "l", "d": "k"}
    for number, (name, key) in enumerate(keys.items()):
        created = f"2026-02-0{number + 1}T00:00:00Z"
        port = (ServicePort(80 + number),)
        edit(core, service(name, annotations={SHARE: key}, ports=port, created=created))
    assert core.pending == {"default/b", "default/c", "default/d"}
    core.service_changed("default/x", None)
    assert held(core, "b") == held(core, "d") == ["192.0.2.0"]
    assert held(core, "c") == []


class Counting(dict[str, str]):
    """A selector that counts its reads, and with them the evaluations of its service."""

    reads = 0

    def items(self) -> ItemsView[str, str]:
        Counting.reads += 1
        return super().items()


@pytest.mark.parametrize(
    "requested",
    [
        lambda n: {},
        lambda n: {"annotations": {SHARE: f"k{n}"}},
        lambda n: {"annotations": {SHARE: "k"}},
        lambda n: {"load_balancer_ip": f"10.0.{n >> 8}.{n & 255}"},
        lambda n: {"annotations": {POOL: "full"}},
        lambda n: {"cluster_ips": DUAL, "ip_family_policy": "PreferDualStack"},
        lambda n: {"annotations": {POOL: f"unknown-{n}"}},
        lambda n: {"cluster_ips": ("garbage",)},
    ],
    ids=["any", "own keys", "one key", "addresses", "pool", "dual", "unknown pools", "invalid"],
)
def test_a_release_retries_few_of_many_pending_services(
    requested: Callable[[int], dict[str, object]],
) -> None:
    core = started(service("x"), service("y"), service("z", annotations={POOL: "full"}), pools=FULL)
    local = {"selector": Counting(app="web"), "external_traffic_policy": "Local"}
    for number in range(1000):
        edit(core, service(f"s{number}", **local, **requested(number)))  # type: ignore[arg-type]
    assert len(core.pending) == 1000
    Counting.reads = 0
    core.service_changed("default/x", None)
    core.service_changed("default/y", None)
    assert Counting.reads < 20


def unread(item: Service) -> Service:
    """Return the decodable rest of a service whose spec cannot be decoded."""
    return Service(item.metadata, status=item.status, unread=("spec",))


def test_an_undecodable_service_keeps_its_address_at_a_start() -> None:
    odd = unread(service("odd", ips=("192.0.2.0",)))
    core = started(odd, service("web"))
    held = core.allocator.held("default/odd")
    assert held is not None
    assert list(map(str, held.addresses)) == ["192.0.2.0"]
    assert core.service_changed("default/odd", odd) == (), "no decision from a part of an object"
    assert core.outcome("default/web") is not None
    assert str(core.outcome("default/web").addresses[0]) == "192.0.2.1"  # type: ignore[union-attr]
    effects = core.service_changed("default/odd", service("odd", ips=("192.0.2.0",)))
    assert written(effects) in ({}, {"odd": ["192.0.2.0"]})
    core.service_changed("default/odd", None)
    assert core.allocator.held("default/odd") is None


def test_an_undecodable_service_takes_no_address_from_a_decodable_one() -> None:
    odd = unread(service("odd", ips=("192.0.2.0",)))
    core = started(odd, service("web", ips=("192.0.2.0",)))
    assert core.allocator.held("default/web") is not None
    assert core.allocator.held("default/odd") is None


def test_a_sharer_of_one_family_keeps_its_address_of_the_other_family() -> None:
    """It must release the IPv4 address that it shares; its IPv6 address has no conflict."""
    pools = config(pool("a", "192.0.2.0/30", "2001:db8::/126"))
    both = {"cluster_ips": ("10.0.0.9", "fd00::9"), "ip_family_policy": "RequireDualStack"}
    core = started(local("a", 80), local("b", 443, **both), pools=pools)
    assert held(core, "a") == ["192.0.2.0"]
    assert held(core, "b") == ["192.0.2.0", "2001:db8::"]
    edit(core, local("b", 443, external_traffic_policy="Local", **both), 100.0)
    core.handle_timeout(200.0)
    assert held(core, "a") == ["192.0.2.0"]
    assert held(core, "b") == ["192.0.2.1", "2001:db8::"]
