"""Start of the controller: reclaimed addresses, and the configuration that they come from."""

from __future__ import annotations

import pytest
from support.kube.assignment import written
from support.kube.objects import config, pool, service

from controller.core import Controller
from controller.effects import (
    ConfigApplied,
    ConfigRefused,
    DrainingChanged,
    Effect,
    Orphaned,
)
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.config.draining import drain
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Pool
from metallb_py.model.pool_access import Tenancy
from metallb_py.model.selectors import LabelSelector

TEXT = config(pool("new", "192.0.2.0/30"))
STALE = config(pool("old", "198.51.100.0/30"))
ON_NEW = service("on-new", ips=("192.0.2.1",), pool="new")
ON_OLD = service("on-old", ips=("198.51.100.1",), pool="old")


def start(
    policy: OrphanPolicy,
    *services: Service,
    text: Config = TEXT,
    draining: tuple[Pool, ...] = (),
    previous: Config | None = STALE,
) -> tuple[Controller, tuple[Effect, ...]]:
    core = Controller(policy=policy)
    effects = core.config_changed(text, draining, previous)
    for item in services:
        effects += core.service_changed(item.key, item)
    return core, (*effects, *core.services_synced())


def applied(effects: tuple[Effect, ...]) -> Config:
    return [e.config for e in effects if isinstance(e, ConfigApplied)][-1]


def last_draining(effects: tuple[Effect, ...]) -> list[str]:
    changes = [e.pools for e in effects if isinstance(e, DrainingChanged)]
    return [p.name for p in changes[-1]] if changes else []


@pytest.mark.parametrize("policy", OrphanPolicy)
def test_a_stale_stored_configuration_renumbers_nothing_at_a_restart(policy: OrphanPolicy) -> None:
    core, effects = start(policy, ON_NEW)
    assert written(effects) == {}
    assert applied(effects) == TEXT
    held = core.allocator.held("default/on-new")
    assert held is not None
    assert held.pool == "new"


def test_a_pool_of_the_stored_configuration_alone_drains() -> None:
    core, effects = start(OrphanPolicy.DRAIN, ON_NEW, ON_OLD)
    assert written(effects) == {}
    assert last_draining(effects) == ["old (draining)"]
    (orphan,) = (e for e in effects if isinstance(e, Orphaned))
    assert (orphan.service.key, orphan.policy) == ("default/on-old", OrphanPolicy.DRAIN)
    assert [p.name for p in core.allocator.pools()] == ["new", "old (draining)"]


def test_a_pool_of_the_stored_configuration_alone_is_renumbered() -> None:
    _, effects = start(OrphanPolicy.RENUMBER, ON_NEW, ON_OLD)
    assert written(effects) == {"on-old": ["192.0.2.0"]}
    (orphan,) = (e for e in effects if isinstance(e, Orphaned))
    assert (orphan.service.key, orphan.policy) == ("default/on-old", OrphanPolicy.RENUMBER)
    assert last_draining(effects) == []


def test_a_refused_configuration_is_refused_again_after_a_restart() -> None:
    _, effects = start(OrphanPolicy.REFUSE, ON_OLD)
    assert written(effects) == {}
    assert applied(effects) == STALE
    assert any(isinstance(e, ConfigRefused) for e in effects)


def test_a_configuration_with_addresses_in_use_was_in_force_already() -> None:
    """Pools of the older configuration drain: addresses of neither may be released."""
    _, effects = start(OrphanPolicy.REFUSE, ON_OLD, ON_NEW)
    assert written(effects) == {}
    assert applied(effects) == TEXT
    assert last_draining(effects) == ["old (draining)"]
    assert not any(isinstance(e, ConfigRefused) for e in effects)


@pytest.mark.parametrize("policy", OrphanPolicy)
def test_an_unused_stored_pool_does_not_drain(policy: OrphanPolicy) -> None:
    stored = drain(STALE.pools)
    core, effects = start(policy, ON_NEW, draining=stored)
    assert last_draining(effects) == []
    assert [p.name for p in core.allocator.pools()] == ["new"]


@pytest.mark.parametrize("policy", OrphanPolicy)
def test_a_stored_draining_pool_keeps_its_holdings(policy: OrphanPolicy) -> None:
    core, effects = start(policy, ON_OLD, draining=drain(STALE.pools), previous=None)
    assert written(effects) == {}
    assert not any(isinstance(e, Orphaned) for e in effects), "it was reported when it began"
    assert core.draining == 1


def test_nothing_is_allocated_from_the_stored_configuration() -> None:
    full = config(pool("new", "192.0.2.1/32"))
    core, effects = start(OrphanPolicy.DRAIN, ON_NEW, ON_OLD, service("late"), text=full)
    assert written(effects) == {}
    assert core.pending == {"default/late"}


def test_a_configuration_that_selects_namespaces_waits_for_their_sync() -> None:
    by_label = Tenancy(namespace_selectors=(LabelSelector(),))
    text = config(pool("new", "192.0.2.0/30", tenancy=by_label))
    core, effects = start(OrphanPolicy.REFUSE, ON_NEW, text=text)
    assert written(effects) == {}
    effects = (*core.namespace_changed("default", {}), *core.namespaces_synced())
    assert applied(effects) == text
    assert written(effects) == {}
