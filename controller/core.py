"""The controller's state and every event that changes it. Events in, effects out, no I/O.

Nothing is given out before all services and a configuration are known: first every service's
status is re-claimed, then the rest is served, the oldest service first. A configuration that
selects namespaces by their labels waits until those are known, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.allocator import Allocator, Holding
from controller.assignment import Outcome, converge
from controller.orphans import (
    OrphanPolicy,
    describe_misfit,
    expelled,
    pools_to_drain,
    still_needed,
)
from controller.requests import tenant_of
from controller.starting import reclaim_all, renumbered, was_in_force
from metallb_py.addresses import IPAddress
from metallb_py.config.draining import configured_name
from metallb_py.config.model import Config, Pool
from metallb_py.config.tenancy import Tenant
from metallb_py.kube.objects import Labels, Service

# Where a service's addresses are from (MetalLB since 0.13.9).
POOL_ANNOTATION = "metallb.universe.tf/ip-allocated-from-pool"


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Make a service's status hold exactly these addresses, from this pool."""

    service: Service
    addresses: tuple[IPAddress, ...]
    pool: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Something was decided about a service that is worth telling."""

    service: Service
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ServiceGone:
    """A service was deleted, or is no longer ours."""

    key: str


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """A configuration is in force."""

    config: Config


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """A configuration does not fit what is assigned; the earlier one stays in force."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """Everything held was re-claimed; from now on addresses are given out."""


@dataclass(frozen=True, slots=True)
class Orphaned:
    """A service holds addresses that a new configuration has no pool for."""

    service: Service
    held: Holding
    policy: OrphanPolicy


@dataclass(frozen=True, slots=True)
class DrainingChanged:
    """These pools drain now."""

    pools: tuple[Pool, ...]


Effect = (
    WriteStatus
    | Decided
    | ServiceGone
    | ConfigApplied
    | ConfigRefused
    | Started
    | Orphaned
    | DrainingChanged
)


class Controller:
    """The controller's one state owner."""

    def __init__(
        self, load_balancer_class: str = "", policy: OrphanPolicy = OrphanPolicy.DRAIN
    ) -> None:
        self.allocator = Allocator()
        self._class = load_balancer_class
        self._policy = policy
        self._draining: tuple[Pool, ...] = ()
        self._services: dict[str, Service] = {}
        self._config: Config | None = None
        self._waiting_config: Config | None = None
        self._previous: Config | None = None
        self._services_synced = False
        self._namespaces: dict[str, Labels] = {}
        self._namespaces_synced = False
        self._started = False
        self._pending: set[str] = set()
        self._told: dict[str, Outcome] = {}

    @property
    def configured(self) -> bool:
        """Whether a configuration is in force."""
        return self._config is not None

    @property
    def pending(self) -> frozenset[str]:
        """The services that wait for an address."""
        return frozenset(self._pending)

    @property
    def draining(self) -> int:
        """How many services hold addresses of pools that drain."""
        names = {pool.name for pool in self._draining}
        return sum(held.pool in names for held in self.allocator.holdings())

    @property
    def services_are_synced(self) -> bool:
        """Whether all services were listed once."""
        return self._services_synced

    def service_changed(self, key: str, service: Service | None) -> tuple[Effect, ...]:
        """A service appeared, changed, or is gone (None)."""
        if service is None or not self.concerns(service):
            return self._forget(key)
        earlier = self._services.get(key)
        gone: tuple[Effect, ...] = ()
        if earlier is not None and earlier.metadata.uid != service.metadata.uid:
            gone = self._forget(key)  # deleted and made anew while nobody looked
        self._services[key] = service
        return (*gone, *self._converge(key)) if self._started else gone

    def services_synced(self) -> tuple[Effect, ...]:
        """All services that there are have been told."""
        self._services_synced = True
        return self._start_if_ready()

    def namespace_changed(self, name: str, labels: Labels | None) -> tuple[Effect, ...]:
        """A namespace appeared, its labels changed, or it is gone (None)."""
        if labels == self._namespaces.get(name):
            return ()
        if labels is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = labels
        return self._something_became_free() if self._started else ()

    def namespaces_synced(self) -> tuple[Effect, ...]:
        """All namespaces that there are have been told."""
        self._namespaces_synced = True
        if not self._started:
            return self._start_if_ready()
        waiting = self._waiting_config
        return self.config_changed(waiting) if waiting else ()

    def outcome(self, key: str) -> Outcome | None:
        """Return what was decided last about a service."""
        return self._told.get(key)

    def config_changed(
        self, config: Config, draining: tuple[Pool, ...] = (), previous: Config | None = None
    ) -> tuple[Effect, ...]:
        """A valid configuration was read.

        ``draining`` are the pools that drained when the last controller ended, ``previous`` is the
        configuration that it had in force. Both count with the first configuration alone, and
        there only for addresses that services hold.
        """
        if self._config is None:
            self._previous = previous
            first = config
            if previous is not None and self._policy is OrphanPolicy.REFUSE:
                first, self._previous = previous, None
            effects = self._apply(first, draining)
            self._waiting_config = None if first is config else config
            return (*effects, *self._start_if_ready())
        if not self._started or not self._knows_enough_for(config):
            self._waiting_config = config
            return ()
        orphans = self._orphans(config)
        if orphans and self._policy is OrphanPolicy.REFUSE:
            self._waiting_config = config
            problems = tuple(describe_misfit(*orphan) for orphan in orphans)
            return (ConfigRefused(problems), *self._tell_orphans(orphans))
        return (*self._tell_orphans(orphans), *self._replace_config(config, orphans))

    def config_invalid(self) -> None:
        """The latest configuration can't be used: forget one that waited to be applied."""
        self._waiting_config = None

    def retry(self, key: str) -> tuple[Effect, ...]:
        """Decide about a service again: its status could not be written."""
        return self._converge(key) if self._started and key in self._services else ()

    def _knows_enough_for(self, config: Config) -> bool:
        return self._namespaces_synced or not config.selects_namespaces

    def _orphans(self, config: Config) -> list[tuple[str, Holding]]:
        """Return the holdings that a configuration leaves without a pool.

        Those whose pool is for others now keep their addresses where pools may drain.
        """
        pools = (*config.pools, *self._draining)
        orphans = self.allocator.misfits(pools)
        if self._policy is OrphanPolicy.DRAIN:
            return orphans
        tenants = {key: self._tenant(service) for key, service in self._services.items()}
        return sorted([*orphans, *expelled(self.allocator, pools, tenants)])

    def _tenant(self, service: Service) -> Tenant:
        return tenant_of(service, self._namespaces.get(service.metadata.namespace))

    def _replace_config(
        self, config: Config, orphans: list[tuple[str, Holding]]
    ) -> tuple[Effect, ...]:
        draining = self._draining
        if self._policy is OrphanPolicy.RENUMBER:
            for key, _ in orphans:
                self.allocator.release(key)
        elif self._config is not None:
            held = [held for _, held in orphans]
            draining = pools_to_drain(self._config.pools, held, draining)
        effects = [*self._apply(config, draining)]
        for key in self._in_order(self._services):
            effects += self._converge(key)
        return (*effects, *self._drop_drained())

    def _apply(self, config: Config, draining: tuple[Pool, ...]) -> tuple[Effect, ...]:
        changed = draining != self._draining
        self._waiting_config = None
        self._config = config
        self._draining = draining
        self.allocator.set_pools((*config.pools, *draining))
        told = (DrainingChanged(draining),) if changed else ()
        return (ConfigApplied(config), *told)

    def _drop_drained(self) -> tuple[Effect, ...]:
        """Forget the pools that their last user left."""
        needed = still_needed(self._draining, self.allocator.holdings())
        if self._config is None or needed == self._draining:
            return ()
        self._draining = needed
        self.allocator.set_pools((*self._config.pools, *needed))
        return (DrainingChanged(needed),)

    def _tell_orphans(self, orphans: list[tuple[str, Holding]]) -> tuple[Effect, ...]:
        return tuple(Orphaned(self._services[key], held, self._policy) for key, held in orphans)

    def concerns(self, service: Service) -> bool:
        """Whether the service is this controller's to serve, or to clear."""
        # MetalLB since 0.13.2: without --lb-class only services that name no class.
        if (service.spec.load_balancer_class or "") != self._class:
            return False
        # One that is no load balancer concerns us while something is left to clear.
        return service.is_load_balancer or bool(service.ingress) or service.key in self._services

    def _start_if_ready(self) -> tuple[Effect, ...]:
        if self._started or not self._services_synced or self._config is None:
            return ()
        waiting = self._waiting_config
        if not all(map(self._knows_enough_for, filter(None, (self._config, waiting)))):
            return ()
        self._started = True
        order = self._in_order(self._services)
        effects: list[Effect] = [*self._reclaim([self._services[key] for key in order]), Started()]
        for key in order:
            effects += self._converge(key)
        effects += self._drop_drained()
        waiting = self._waiting_config
        return (*effects, *(self.config_changed(waiting) if waiting else ()))

    def _reclaim(self, services: list[Service]) -> tuple[Effect, ...]:
        """Bind what services hold already. Which configuration is in force is decided by that."""
        config, waiting = self._config, self._waiting_config
        if config is None:
            return ()
        draining, previous = self._draining, self._previous
        keeps = self._policy is not OrphanPolicy.RENUMBER
        found = reclaim_all(services, self.allocator, config, draining, previous if keeps else None)
        applied: tuple[Effect, ...] = ()
        if waiting is not None and was_in_force(services, waiting, draining, self.allocator):
            previous, self._config, self._waiting_config = config, waiting, None
            self.allocator = Allocator()
            kept = previous if keeps else None
            found = reclaim_all(services, self.allocator, waiting, draining, kept)
            applied = (ConfigApplied(waiting),)
        orphans = found.orphans
        if previous is not None and not keeps:
            orphans = renumbered(services, self.allocator, previous)
        changed: tuple[Effect, ...] = ()
        if found.draining != draining:
            self._draining = found.draining
            changed = (DrainingChanged(found.draining),)
        return (*applied, *changed, *self._tell_orphans(list(orphans)))

    def _in_order(self, keys: dict[str, Service] | set[str]) -> list[str]:
        def age(key: str) -> tuple[str, str]:
            return (self._services[key].metadata.creation_timestamp or "", key)

        return sorted(keys, key=age)

    def _forget(self, key: str) -> tuple[Effect, ...]:
        self._pending.discard(key)
        self._told.pop(key, None)
        if self._services.pop(key, None) is None:
            return ()
        released = self.allocator.release(key)
        return (ServiceGone(key), *(self._something_became_free() if released else ()))

    def _converge(self, key: str) -> tuple[Effect, ...]:
        service = self._services[key]
        before = self.allocator.held(key)
        labels = self._namespaces.get(service.metadata.namespace)
        outcome = converge(service, self.allocator, labels)
        effects: list[Effect] = []
        if outcome.cleared or outcome.allocated or outcome.verdict != self._last_verdict(key):
            effects.append(Decided(service, outcome))
        self._told[key] = outcome
        pool = configured_name(outcome.pool)
        if not _shows(service, outcome.addresses, pool):
            effects.append(WriteStatus(service, outcome.addresses, pool))
        if service.is_load_balancer and not outcome.addresses:
            self._pending.add(key)
        else:
            self._pending.discard(key)
        if not service.is_load_balancer and not service.ingress:
            del self._services[key]
        if before is not None and self.allocator.held(key) != before:
            effects += self._something_became_free(except_for=key)
        return tuple(effects)

    def _last_verdict(self, key: str) -> object:
        told = self._told.get(key)
        return told.verdict if told else None

    def _something_became_free(self, except_for: str = "") -> tuple[Effect, ...]:
        """Serve who waits: an address was released, its sharing changed, or a pool grew."""
        waiting = self._waiting_config
        if waiting and self._knows_enough_for(waiting) and not self._orphans(waiting):
            return self.config_changed(waiting)
        effects = [*self._drop_drained()]
        for key in self._in_order(self._pending - {except_for}):
            effects += self._converge(key)
        return tuple(effects)


def _shows(service: Service, addresses: tuple[IPAddress, ...], pool: str) -> bool:
    """Whether a service's object says what it is to say. Only addresses are compared.

    Servers add fields of their own to the entries of a status.
    """
    if not addresses and service.ingress:
        return False
    named = service.metadata.annotation(POOL_ANNOTATION)
    return service.status_addresses == addresses and named == pool
