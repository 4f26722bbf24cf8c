"""Effects of a configuration on the existing services, computed before it is applied.

The controller's own core computes them: it starts from a snapshot of the cluster, and then applies
the new configuration.
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
from controller.simulation import simulate
from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.config.draining import configured_name
from metallb_py.kube.objects import Service
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Config, Pool
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.model.routes import AdvertisedService, names_in, routes_for


class Change(StrEnum):
    """Effect on an existing service."""

    KEEPS = "keeps"
    """It keeps its addresses and their announcement, or still has no addresses."""
    DRAINS = "drains"
    """It keeps its addresses; its pool was removed and drains."""
    CHANGES = "changes"
    """It keeps its addresses, but they are announced differently."""
    LOSES = "loses"
    """It loses its addresses, and may get others."""
    GETS = "gets"
    """It gets addresses, and had none."""


class PoolChange(StrEnum):
    """Effect on a pool."""

    APPEARS = "appears"
    CHANGES = "changes"
    DRAINS = "drains"
    GOES = "goes"


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Effect on one service."""

    key: str
    change: Change
    before: tuple[IPAddress, ...]
    """Its addresses now; empty for none."""
    after: tuple[IPAddress, ...]
    """Its addresses under the new configuration; empty for none."""
    pool_before: str
    """Configured name of its pool now; empty without a holding."""
    pool_after: str
    """Configured name of its pool under the new configuration; empty without addresses."""
    detail: str = ""
    """Reason why it has no addresses under the new configuration; empty if it has some."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Effects of a configuration on services, pools and BGP routes.

    The routes are those of all services with addresses, announced now or not, as a peer that every
    advertisement names would receive them. Host routes that ``externalTrafficPolicy: Local`` adds
    to aggregates are not included.
    """

    services: tuple[ServicePlan, ...]
    """Every service that this controller serves."""
    pools: Mapping[str, PoolChange]
    """Pools that change, by configured name."""
    routes_advertised: Mapping[IPNetwork, RouteAttributes]
    """Routes that would be advertised in addition, in ascending order."""
    routes_withdrawn: Mapping[IPNetwork, RouteAttributes]
    """Routes that would be withdrawn, in ascending order."""
    refusal: tuple[str, ...] = ()
    """Reasons why the configuration would have to wait and change nothing; empty if it would be
    applied."""

    @property
    def affected(self) -> tuple[ServicePlan, ...]:
        """The services on which the configuration has an effect."""
        return tuple(service for service in self.services if service.change is not Change.KEEPS)

    @property
    def counts(self) -> Mapping[Change, int]:
        """The number of services for each effect."""
        return Counter(service.change for service in self.services)


@dataclass(frozen=True, slots=True)
class _Allocations:
    """Holdings and pools of a core at one time."""

    holdings: Mapping[str, Holding]
    pools: Mapping[str, Pool]

    @classmethod
    def of(cls, core: Controller, keys: Iterable[str]) -> _Allocations:
        held = {key: holding for key in keys if (holding := core.allocator.held(key))}
        return cls(held, {pool.name: pool for pool in core.allocator.pools()})

    def addresses(self, key: str) -> tuple[IPAddress, ...]:
        return self.holdings[key].addresses if key in self.holdings else ()

    def pool(self, key: str) -> Pool | None:
        return self.pools[self.holdings[key].pool] if key in self.holdings else None

    def routes(self) -> Mapping[IPNetwork, RouteAttributes]:
        all_peers = names_in(ad for pool in self.pools.values() for ad in pool.bgp_advertisements)
        return routes_for(
            (
                AdvertisedService(held.addresses, self.pools[held.pool].bgp_advertisements)
                for held in self.holdings.values()
            ),
            all_peers,
        )


def make_plan(
    snapshot: Snapshot, config: Config, policy: OrphanPolicy, load_balancer_class: str = ""
) -> Plan:
    """Compute the effects of a configuration on the cluster of a snapshot."""
    core = simulate(snapshot, load_balancer_class, policy)
    ours = [s for s in snapshot.services if s.is_load_balancer and core.concerns(s)]
    keys = [service.key for service in ours]
    before = _Allocations.of(core, keys)
    effects = core.config_changed(config)
    after = _Allocations.of(core, keys)
    refused = [effect for effect in effects if isinstance(effect, ConfigRefused)]
    old_routes, new_routes = before.routes(), after.routes()
    return Plan(
        tuple(_service_plan(service, before, after, core) for service in ours),
        dict(_pool_changes(before.pools, after.pools)),
        _in_order(new_routes.items() - old_routes.items()),
        _in_order(old_routes.items() - new_routes.items()),
        refused[0].problems if refused else (),
    )


def _service_plan(
    service: Service, before: _Allocations, after: _Allocations, core: Controller
) -> ServicePlan:
    key = service.key
    # Without a configuration in force there are no holdings; the status has the addresses.
    had = before.addresses(key) or (() if before.pools else service.status_addresses)
    has = after.addresses(key)
    old, new = before.pool(key), after.pool(key)
    outcome = core.outcome(key)
    return ServicePlan(
        key,
        _change(had, has, old, new),
        had,
        has,
        configured_name(old.name) if old else "",
        configured_name(new.name) if new else "",
        outcome.verdict.detail if outcome and not has else "",
    )


def _change(
    had: tuple[IPAddress, ...], has: tuple[IPAddress, ...], old: Pool | None, new: Pool | None
) -> Change:
    if had != has:
        return Change.LOSES if had else Change.GETS
    if old is None or new is None:
        return Change.KEEPS
    if new.draining and not old.draining:
        return Change.DRAINS
    return Change.KEEPS if _same_announcement(old, new) else Change.CHANGES


def _same_announcement(one: Pool, other: Pool) -> bool:
    def announcement(pool: Pool) -> tuple[object, ...]:
        advertisements = frozenset(pool.bgp_advertisements)
        return (pool.protocol, advertisements, pool.interfaces, frozenset(pool.node_selectors))

    return announcement(one) == announcement(other)


def _pool_changes(
    before: Mapping[str, Pool], after: Mapping[str, Pool]
) -> Iterator[tuple[str, PoolChange]]:
    draining = {configured_name(pool.name) for pool in after.values() if pool.draining}
    for name, pool in before.items():
        if pool.draining:
            if name not in after and configured_name(name) not in after:
                yield configured_name(name), PoolChange.GOES
        elif name not in after:
            drains = configured_name(name) in draining
            yield configured_name(name), PoolChange.DRAINS if drains else PoolChange.GOES
        elif after[name] != pool:
            yield configured_name(name), PoolChange.CHANGES
    for name, pool in after.items():
        if name not in before and not pool.draining:
            yield configured_name(name), PoolChange.APPEARS


def _in_order(
    routes: Iterable[tuple[IPNetwork, RouteAttributes]],
) -> Mapping[IPNetwork, RouteAttributes]:
    def rank(route: tuple[IPNetwork, RouteAttributes]) -> tuple[int, int, int]:
        prefix, _ = route
        return (prefix.version, int(prefix.network_address), prefix.prefixlen)

    return dict(sorted(routes, key=rank))
