"""The controller's core: events in, effects out."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.objects import config, pool, selector, service

from controller.core import (
    ConfigApplied,
    ConfigRefused,
    Controller,
    Decided,
    DrainingChanged,
    Effect,
    Orphaned,
    Started,
    WriteStatus,
)
from controller.orphans import OrphanPolicy
from metallb_py.config.tenancy import Tenancy

SMALL = config(pool("a", "192.0.2.0/31"))


def written(effects: tuple[Effect, ...]) -> dict[str, list[str]]:
    return {
        e.service.metadata.name: list(map(str, e.addresses))
        for e in effects
        if isinstance(e, WriteStatus)
    }


def started(*services: object, pools: object = SMALL, **options: object) -> Controller:
    core = Controller(**options)  # type: ignore[arg-type]
    for item in services:
        core.service_changed(item.key, item)  # type: ignore[attr-defined]
    core.config_changed(pools)  # type: ignore[arg-type]
    core.services_synced()
    return core


def test_nothing_is_given_out_before_everything_is_known() -> None:
    core = Controller()
    assert core.service_changed("default/web", service()) == ()
    assert core.config_changed(SMALL) == (ConfigApplied(SMALL),)
    effects = core.services_synced()
    assert effects[0] == Started()
    assert written(effects) == {"web": ["192.0.2.0"]}


def test_without_a_configuration_nothing_is_touched() -> None:
    core = Controller()
    core.service_changed("default/web", service(ips=("192.0.2.1",)))
    assert core.services_synced() == ()


def test_a_restart_takes_nobodys_address_whatever_the_order() -> None:
    core = Controller()
    core.config_changed(SMALL)
    core.service_changed("default/new", service("new", created="2025-01-01T00:00:00Z"))
    core.service_changed("default/old", service("old", ips=("192.0.2.0",), pool="a"))
    assert written(core.services_synced()) == {"new": ["192.0.2.1"]}


def test_the_oldest_waiting_service_is_served_first() -> None:
    core = started(
        service("c", created="2026-01-03T00:00:00Z"),
        service("b", created="2026-01-01T00:00:00Z"),
        service("a", created="2026-01-02T00:00:00Z"),
    )
    assert core.pending == {"default/c"}
    effects = core.service_changed("default/b", None)
    assert written(effects) == {"c": ["192.0.2.0"]}
    assert not core.pending


def test_any_release_wakes_who_waits() -> None:
    core = started(service("a"), service("b"), service("c"))
    effects = core.service_changed("default/a", service("a", kind="ClusterIP", version="2"))
    assert written(effects) == {"c": ["192.0.2.0"]}


def test_a_new_configuration_serves_who_waits() -> None:
    core = started(service("a"), service("b"), service("c"))
    effects = core.config_changed(config(pool("a", "192.0.2.0/31"), pool("b", "192.0.2.8/31")))
    assert written(effects) == {"a": ["192.0.2.0"], "b": ["192.0.2.1"], "c": ["192.0.2.8"]}


def test_a_status_that_holds_the_right_addresses_is_not_written_again() -> None:
    core = started(service())
    shown = service(ips=("192.0.2.0",), pool="a", version="2")
    assert core.service_changed("default/web", shown) == ()


def test_where_an_address_is_from_is_written_where_it_does_not_stand_yet() -> None:
    core = Controller()
    core.config_changed(SMALL)
    core.service_changed("default/web", service(ips=("192.0.2.0",)))
    assert [
        (e.addresses, e.pool) for e in core.services_synced() if isinstance(e, WriteStatus)
    ] == [((ip_address("192.0.2.0"),), "a")]


def test_refuse_makes_a_configuration_that_drops_an_address_in_use_wait_until_it_fits() -> None:
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


def test_a_refused_configuration_is_dropped_when_a_bad_one_follows() -> None:
    core = started(service(), policy=OrphanPolicy.REFUSE)
    core.config_changed(config(pool("b", "198.51.100.0/31")))
    core.config_invalid()
    assert not any(
        isinstance(effect, ConfigApplied) for effect in core.service_changed("default/web", None)
    )


def test_a_reason_is_told_once() -> None:
    core = started(service("a"), service("b"))
    waiting = service("late")
    first = core.service_changed("default/late", waiting)
    assert any(isinstance(effect, Decided) for effect in first)
    assert core.service_changed("default/late", service("late", version="2")) == ()


def test_other_load_balancer_classes_are_somebody_elses() -> None:
    core = started(service(load_balancer_class="other", ips=("192.0.2.0",)))
    assert written(core.service_changed("default/b", service("b"))) == {"b": ["192.0.2.0"]}


def test_serves_the_class_that_it_was_given() -> None:
    core = started(load_balancer_class="ours")
    assert core.service_changed("default/a", service("a")) == ()
    ours = service("b", load_balancer_class="ours")
    assert written(core.service_changed("default/b", ours)) == {"b": ["192.0.2.0"]}


def test_a_service_made_anew_under_the_same_name_is_another_one() -> None:
    core = started(service(uid="1"), service("other"))
    again = service(uid="2", annotations={"metallb.universe.tf/address-pool": "a"})
    assert written(core.service_changed("default/web", again)) == {"web": ["192.0.2.1"]}


def test_what_an_unseen_deletion_freed_goes_to_who_waits() -> None:
    core = started(service("a"), service("b"), service("c"))
    again = service("a", uid="2", load_balancer_ip="203.0.113.1")
    assert written(core.service_changed("default/a", again)) == {"c": ["192.0.2.0"]}


def test_the_status_of_who_is_no_load_balancer_is_emptied_though_a_write_failed() -> None:
    core = started(service(ips=("192.0.2.0",), pool="a"))
    stopped = service(ips=("192.0.2.0",), pool="a", kind="ClusterIP", version="2")
    core.service_changed("default/web", stopped)
    assert written(core.retry("default/web")) == {"web": []}
    assert core.service_changed("default/web", service(kind="ClusterIP", version="3")) == ()
    assert core.retry("default/web") == ()


def test_services_that_never_were_load_balancers_are_left_alone() -> None:
    core = started()
    assert core.service_changed("default/x", service("x", kind="ClusterIP")) == ()
    assert core.service_changed("default/x", None) == ()


def test_a_second_configuration_before_the_start_waits_for_what_services_hold() -> None:
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


def test_drain_applies_the_rest_at_once_and_leaves_services_what_they_have() -> None:
    core = started(service())
    effects = core.config_changed(ELSEWHERE)
    assert ConfigApplied(ELSEWHERE) in effects
    assert draining(effects) == [["a (draining)"]]
    assert written(effects) == {"web": ["192.0.2.0"]}, "as before: its write was lost"
    assert written(core.service_changed("default/new", service("new"))) == {"new": ["198.51.100.0"]}


def test_nothing_new_is_taken_from_a_pool_that_drains() -> None:
    core = started(service())
    core.config_changed(config())
    asks = {"metallb.universe.tf/address-pool": "a"}
    assert not written(core.service_changed("default/x", service("x", annotations=asks)))
    explicit = service("y", load_balancer_ip="192.0.2.1")
    assert not written(core.service_changed("default/y", explicit))
    assert core.pending == {"default/x", "default/y"}


def test_a_drained_pool_goes_with_its_last_user() -> None:
    core = started(service("one"), service("two"))
    core.config_changed(ELSEWHERE)
    assert draining(core.service_changed("default/one", None)) == []
    assert draining(core.service_changed("default/two", None)) == [[]]


def test_a_drained_pool_that_returns_is_a_pool_again() -> None:
    core = started(service())
    core.config_changed(ELSEWHERE)
    assert draining(core.config_changed(SMALL)) == [[]]
    assert core.allocator.held("default/web").pool == "a"  # type: ignore[union-attr]


def test_two_pools_of_one_name_may_be_there_while_one_drains() -> None:
    core = started(service(annotations={"metallb.universe.tf/address-pool": "a"}))
    renumbered = config(pool("a", "198.51.100.0/31"))
    core.config_changed(renumbered)
    again = service(
        ips=("192.0.2.0",),
        pool="a",
        version="2",
        annotations={"metallb.universe.tf/address-pool": "a"},
    )
    assert core.service_changed("default/web", again) == (), "it asked for a pool of that name"
    assert written(core.service_changed("default/n", service("n"))) == {"n": ["198.51.100.0"]}


def test_pools_of_one_name_drain_one_after_the_other() -> None:
    core = started(service())
    core.config_changed(config(pool("a", "198.51.100.0/31")))
    core.service_changed("default/n", service("n"))
    effects = core.config_changed(config(pool("a", "203.0.113.0/31")))
    assert draining(effects) == [["a (draining)", "a (draining 2)"]]
    assert written(effects) == {"web": ["192.0.2.0"], "n": ["198.51.100.0"]}
    assert draining(core.service_changed("default/web", None)) == [["a (draining 2)"]]


def test_a_restart_knows_the_pools_that_drain() -> None:
    core = started(service())
    (change,) = (e for e in core.config_changed(ELSEWHERE) if isinstance(e, DrainingChanged))
    reborn = Controller()
    reborn.config_changed(ELSEWHERE, change.pools)
    reborn.service_changed("default/web", service(ips=("192.0.2.0",), pool="a"))
    reborn.service_changed("default/new", service("new", created="2025-01-01T00:00:00Z"))
    assert written(reborn.services_synced()) == {"new": ["198.51.100.0"]}


def test_a_restart_forgets_pools_that_nobody_needs_any_more() -> None:
    core = started(service())
    (change,) = (e for e in core.config_changed(ELSEWHERE) if isinstance(e, DrainingChanged))
    reborn = Controller()
    reborn.config_changed(ELSEWHERE, change.pools)
    assert draining(reborn.services_synced()) == [[]]


def test_renumber_gives_other_addresses_at_once() -> None:
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


def test_it_waits_also_where_another_one_is_in_force() -> None:
    core = started(service("a"))
    assert core.config_changed(TENANTED) == ()
    assert written(core.service_changed("default/b", service("b"))) == {"b": ["192.0.2.1"]}
    core.namespace_changed("default", {"team": "back"})
    assert core.namespaces_synced()[0] == ConfigApplied(TENANTED)
    assert written(core.service_changed("default/c", service("c"))) == {"c": ["192.0.2.8"]}


def test_a_service_of_a_namespace_that_nobody_knows_yet_waits_for_it() -> None:
    core = started(pools=TENANTED)
    core.namespaces_synced()
    effects = core.service_changed("default/a", service("a"))
    assert written(effects) == {}
    (told,) = (effect for effect in effects if isinstance(effect, Decided))
    assert told.outcome.verdict.detail == 'the labels of namespace "default" are not known yet'
    assert written(core.namespace_changed("default", {"team": "front"})) == {"a": ["192.0.2.0"]}


def test_new_labels_of_a_namespace_take_nothing_away_and_wake_who_waits() -> None:
    core = started(service("a"), pools=config(pool("ours", "192.0.2.0/31", tenancy=FRONT)))
    core.namespace_changed("default", {"team": "front"})
    assert written(core.namespaces_synced()) == {"a": ["192.0.2.0"]}
    assert core.namespace_changed("default", {"team": "back"}) == ()
    assert written(core.service_changed("default/b", service("b"))) == {}
    assert core.pending == {"default/b"}
    assert written(core.namespace_changed("default", {"team": "front"})) == {"b": ["192.0.2.1"]}


def test_a_restart_keeps_the_address_of_who_would_not_get_it_today() -> None:
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
def test_a_pool_that_is_closed_to_its_users(
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
    "wish",
    [{"load_balancer_ip": "192.0.2.0"}, {"annotations": {"metallb.universe.tf/address-pool": "a"}}],
)
def test_a_closed_pool_is_closed_also_to_who_asks_for_it(wish: dict[str, object]) -> None:
    core = started(pools=CLOSED)
    effects = core.service_changed("default/a", service("a", **wish))  # type: ignore[arg-type]
    assert written(effects) == {}
    (told,) = (effect for effect in effects if isinstance(effect, Decided))
    assert 'pool "a": not for namespace "default"' in told.outcome.verdict.detail
