"""What a configuration would do to the services that there are, before it is applied.

It is the controller's own core that is asked: it starts from the cluster as it stands, and then
reads the new configuration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from controller.allocator import Holding
from controller.core import Controller
from controller.effects import ConfigRefused
from controller.orphaned_addresses import OrphanPolicy
from controller.simulation import rehearse
from metallb_py.addresses import IPAddress
from metallb_py.config.draining import configured_name
from metallb_py.kube.objects import Service
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Config, Pool
from metallb_py.model.routes import Offer, Route, names_in, routes_for


class Fate(StrEnum):
    """What becomes of a service that exists."""

    KEEPS = "keeps"
    """Its addresses, as they are; or it goes on without."""
    DRAINS = "drains"
    """It keeps its addresses, and its pool is there for its sake alone."""
    CHANGES = "changes"
    """It keeps its addresses, which are announced in another way."""
    LOSES = "loses"
    """Its addresses; it may get others."""
    GETS = "gets"
    """Addresses, and had none."""


class PoolFate(StrEnum):
    """What becomes of a pool."""

    APPEARS = "appears"
    CHANGES = "changes"
    DRAINS = "drains"
    GOES = "goes"


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service. ``detail`` tells why it has no addresses afterwards."""

    key: str
    fate: Fate
    before: tuple[IPAddress, ...]
    after: tuple[IPAddress, ...]
    pool_before: str
    pool_after: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would happen. ``refusal`` is why nothing would: the configuration would have to wait.

    Routes are those that all services with addresses stand for, be they announced now or not, as
    a router would hear them that every advertisement names. Host routes that
    ``externalTrafficPolicy: Local`` adds to aggregates are none of them.
    """

    services: tuple[ServicePlan, ...]
    pools: Mapping[str, PoolFate]
    routes_appearing: tuple[Route, ...]
    routes_going: tuple[Route, ...]
    refusal: tuple[str, ...] = ()

    @property
    def affected(self) -> tuple[ServicePlan, ...]:
        """The services that do not simply go on as they were."""
        return tuple(service for service in self.services if service.fate is not Fate.KEEPS)

    @property
    def counts(self) -> Mapping[Fate, int]:
        """How many services have which fate."""
        return Counter(service.fate for service in self.services)


@dataclass(frozen=True, slots=True)
class _Stand:
    """Who holds what of which pool, at one moment."""

    holdings: Mapping[str, Holding]
    pools: Mapping[str, Pool]

    @classmethod
    def of(cls, core: Controller, keys: Iterable[str]) -> _Stand:
        held = {key: holding for key in keys if (holding := core.allocator.held(key))}
        return cls(held, {pool.name: pool for pool in core.allocator.pools()})

    def addresses(self, key: str) -> tuple[IPAddress, ...]:
        return self.holdings[key].addresses if key in self.holdings else ()

    def pool(self, key: str) -> Pool | None:
        return self.pools[self.holdings[key].pool] if key in self.holdings else None

    def routes(self) -> frozenset[Route]:
        everybody = names_in(ad for pool in self.pools.values() for ad in pool.bgp_advertisements)
        return routes_for(
            (
                Offer(held.addresses, self.pools[held.pool].bgp_advertisements)
                for held in self.holdings.values()
            ),
            everybody,
        )


def make_plan(
    snapshot: Snapshot, config: Config, policy: OrphanPolicy, load_balancer_class: str = ""
) -> Plan:
    """Say what a configuration would do."""
    core = rehearse(snapshot, load_balancer_class, policy)
    ours = [s for s in snapshot.services if s.is_load_balancer and core.concerns(s)]
    keys = [service.key for service in ours]
    before = _Stand.of(core, keys)
    effects = core.config_changed(config)
    after = _Stand.of(core, keys)
    refused = [effect for effect in effects if isinstance(effect, ConfigRefused)]
    gone, come = before.routes(), after.routes()
    return Plan(
        tuple(_service_plan(service, before, after, core) for service in ours),
        dict(_pool_fates(before.pools, after.pools)),
        _in_order(come - gone),
        _in_order(gone - come),
        refused[0].problems if refused else (),
    )


def _service_plan(service: Service, before: _Stand, after: _Stand, core: Controller) -> ServicePlan:
    key = service.key
    # Without a configuration in force nobody holds anything; the status says what is there.
    had = before.addresses(key) or (() if before.pools else service.status_addresses)
    has = after.addresses(key)
    old, new = before.pool(key), after.pool(key)
    outcome = core.outcome(key)
    return ServicePlan(
        key,
        _fate(had, has, old, new),
        had,
        has,
        configured_name(old.name) if old else "",
        configured_name(new.name) if new else "",
        outcome.verdict.detail if outcome and not has else "",
    )


def _fate(
    had: tuple[IPAddress, ...], has: tuple[IPAddress, ...], old: Pool | None, new: Pool | None
) -> Fate:
    if had != has:
        return Fate.LOSES if had else Fate.GETS
    if old is None or new is None:
        return Fate.KEEPS
    if new.draining and not old.draining:
        return Fate.DRAINS
    return Fate.KEEPS if _announced_alike(old, new) else Fate.CHANGES


def _announced_alike(one: Pool, other: Pool) -> bool:
    def manner(pool: Pool) -> tuple[object, ...]:
        advertisements = frozenset(pool.bgp_advertisements)
        return (pool.protocol, advertisements, pool.interfaces, frozenset(pool.node_selectors))

    return manner(one) == manner(other)


def _pool_fates(
    before: Mapping[str, Pool], after: Mapping[str, Pool]
) -> Iterator[tuple[str, PoolFate]]:
    draining = {configured_name(pool.name) for pool in after.values() if pool.draining}
    for name, pool in before.items():
        if pool.draining:
            if name not in after and configured_name(name) not in after:
                yield configured_name(name), PoolFate.GOES
        elif name not in after:
            drains = configured_name(name) in draining
            yield configured_name(name), PoolFate.DRAINS if drains else PoolFate.GOES
        elif after[name] != pool:
            yield configured_name(name), PoolFate.CHANGES
    for name, pool in after.items():
        if name not in before and not pool.draining:
            yield configured_name(name), PoolFate.APPEARS


def _in_order(routes: Iterable[Route]) -> tuple[Route, ...]:
    def rank(route: Route) -> tuple[int, int, int, int, tuple[int, ...]]:
        prefix = route.prefix
        where = (prefix.version, int(prefix.network_address), prefix.prefixlen)
        return (*where, route.local_pref, route.communities)

    return tuple(sorted(routes, key=rank))
