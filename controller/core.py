"""State machine of the controller: events in, effects out, no I/O.

Nothing is allocated before all services were listed and a configuration was read: first the
addresses in every service's status are reclaimed, then the other services are served, the oldest
first. A configuration that selects namespaces by their labels also waits for the list of those.

``assignment.decide`` decides about a service; only ``carry_out`` here applies decisions to the
allocator. Waiting services are tried again when an address, its sharing or a pool becomes
available. Times are monotonic seconds; an event without a time happens at that of the one before.

Driver contract: perform the effects of each event in order, call ``retry`` after a failed
``WriteStatus``, and ``handle_timeout`` at ``next_deadline``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from heapq import heapify, heappop, heappush
from typing import assert_never

from controller.allocator import Allocator, Holding
from controller.assignment import (
    Assign,
    Cleared,
    Decision,
    Keep,
    Memory,
    Outcome,
    Pending,
    Reason,
    Release,
    decide,
)
from controller.contests import StatusContests
from controller.effects import (
    POOL_ANNOTATION,
    ConfigApplied,
    ConfigRefused,
    Decided,
    DrainingChanged,
    Effect,
    Orphaned,
    ServiceGone,
    Started,
    StatusContested,
    WriteStatus,
)
from controller.exchanges import find_exchange
from controller.orphaned_addresses import (
    OrphanPolicy,
    describe_misfit,
    no_longer_permitted,
    pools_to_drain,
    still_needed,
)
from controller.requests import InvalidRequest, ServiceRequest, parse, tenant_of
from controller.starting import reclaim_all, renumbered, was_in_force
from controller.waiting import Awaited, WaitingServices
from metallb_py.addresses import IPAddress, go_quote_list
from metallb_py.config.draining import configured_name
from metallb_py.isolation import InternalError, contain
from metallb_py.kube.objects import Labels, Service
from metallb_py.model.config import Config, Pool
from metallb_py.model.pool_access import ServiceIdentity
from metallb_py.obstacles import Obstacles
from metallb_py.verdict import Check, Checks, Verdict

SHARING_GRACE = 10.0
"""Seconds that services on one address have to make the same change to their sharing terms."""


class Controller:
    """Owner of the controller's state. Every event returns the effects to perform, in order."""

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
        self._obstacles = Obstacles()
        self._previous: Config | None = None
        self._services_synced = False
        self._namespaces: dict[str, Labels] = {}
        self._namespaces_synced = False
        self._started = False
        self._pending: set[str] = set()
        self._waiting = WaitingServices()
        self._outcomes: dict[str, Outcome] = {}
        self._contests = StatusContests()
        # Requests of services that hold addresses and wait for other, specific ones.
        self._movers: dict[str, ServiceRequest] = {}
        # Ends of grace periods for old terms; addresses that services left, and how long to return.
        self._grace_ends: dict[str, float] = {}
        self._vacated: dict[str, tuple[tuple[IPAddress, ...], float]] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._scheduled: set[tuple[float, str]] = set()
        # Changes since the waiting services were tried last: any, freed addresses, sharing keys.
        self._changed = False
        self._freed: set[IPAddress] = set()
        self._sharing: set[str] = set()
        self._now = 0.0

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
        """The number of services that hold addresses of draining pools."""
        names = {pool.name for pool in self._draining}
        return sum(held.pool in names for held in self.allocator.holdings())

    @property
    def services_are_synced(self) -> bool:
        """Whether all services were listed once."""
        return self._services_synced

    def service_changed(
        self, key: str, service: Service | None, now: float | None = None
    ) -> tuple[Effect, ...]:
        """Apply a new, changed or deleted (None) Service; return the effects."""
        self._advance(now)
        if service is None or not self.concerns(service):
            return (*self._forget(key), *self._serve_waiting())
        earlier = self._services.get(key)
        gone: tuple[Effect, ...] = ()
        if earlier is not None and earlier.metadata.uid != service.metadata.uid:
            gone = self._forget(key)  # deleted and recreated between two lists
        self._services[key] = service
        if not self._started:
            return gone
        return (*gone, *self._converge(key), *self._serve_waiting())

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Decide again about the services whose deadline has come."""
        self._advance(now)
        due = set()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline = heappop(self._deadlines)
            self._scheduled.discard(deadline)
            due.add(deadline[1])
        return self._converge_all(due & self._services.keys())

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due; None if nothing is."""
        return self._deadlines[0][0] if self._deadlines else None

    def _advance(self, now: float | None) -> None:
        self._now = self._now if now is None else max(self._now, now)

    def services_synced(self) -> tuple[Effect, ...]:
        """Record that all services were listed; start once a configuration was read, too."""
        self._services_synced = True
        return self._start_if_ready()

    def namespace_changed(self, name: str, labels: Labels | None) -> tuple[Effect, ...]:
        """Apply the labels of a new, changed or deleted (None) Namespace; return the effects."""
        if labels == self._namespaces.get(name):
            return ()
        if labels is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = labels
        if not self._started:
            return ()
        self._changed = True  # a pool may be open to its services now
        return self._converge_all(
            key
            for key, service in self._services.items()
            if service.metadata.namespace == name and self._is_unsatisfied(key)
        )

    def _is_unsatisfied(self, key: str) -> bool:
        outcome = self._outcomes.get(key)
        return key in self._waiting or (outcome is not None and not outcome.verdict.positive)

    def namespaces_synced(self) -> tuple[Effect, ...]:
        """Record that all namespaces were listed; start, or apply a configuration that waited."""
        self._namespaces_synced = True
        if not self._started:
            return self._start_if_ready()
        waiting = self._waiting_config
        return self.config_changed(waiting) if waiting else ()

    def outcome(self, key: str) -> Outcome | None:
        """Return the outcome of the last decision about a service; None before the first."""
        return self._outcomes.get(key)

    def config_changed(
        self, config: Config, draining: tuple[Pool, ...] = (), previous: Config | None = None
    ) -> tuple[Effect, ...]:
        """Apply a valid configuration, or have it wait; return the effects.

        ``draining`` are the pools that drained when the last controller stopped, ``previous`` is
        the configuration that it had in force. Both are used with the first configuration only, and
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
        if not self._started or not self._has_namespaces_for(config):
            self._waiting_config = config
            return ()
        orphans = self._orphans(config)
        if orphans and self._policy is OrphanPolicy.REFUSE:
            self._waiting_config = config
            problems = tuple(describe_misfit(*orphan) for orphan in orphans)
            return (ConfigRefused(problems), *self._report_orphans(orphans))
        return (*self._report_orphans(orphans), *self._replace_config(config, orphans))

    def config_invalid(self) -> None:
        """Discard a configuration that waits: the latest one is invalid."""
        self._waiting_config = None

    def retry(self, key: str, now: float | None = None) -> tuple[Effect, ...]:
        """Decide again about a service whose status could not be written."""
        self._advance(now)
        known = self._started and key in self._services
        return self._converge_all([key]) if known else ()

    def _has_namespaces_for(self, config: Config) -> bool:
        return self._namespaces_synced or not config.selects_namespaces

    def _orphans(self, config: Config) -> list[tuple[str, Holding]]:
        """Return the holdings that a configuration leaves without a pool.

        With ``drain``, a service keeps addresses of a pool that is closed to it now: no orphan.
        """
        pools = (*config.pools, *self._draining)
        orphans = self.allocator.misfits(pools)
        if self._policy is OrphanPolicy.DRAIN:
            return orphans
        tenants = {key: self._tenant(service) for key, service in self._services.items()}
        return sorted([*orphans, *no_longer_permitted(self.allocator, pools, tenants)])

    def _fits(self, waiting: Config) -> bool:
        """Whether a waiting configuration would no longer leave a holding without a pool."""

        def state(key: str) -> tuple[Holding | None, ServiceIdentity | None]:
            service = self._services.get(key)
            return self.allocator.held(key), self._tenant(service) if service else None

        return self._obstacles.are_gone(
            waiting, state, lambda: [key for key, _ in self._orphans(waiting)]
        )

    def _tenant(self, service: Service) -> ServiceIdentity:
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
        return (*self._apply(config, draining), *self._converge_all(self._services))

    def _apply(self, config: Config, draining: tuple[Pool, ...]) -> tuple[Effect, ...]:
        changed = draining != self._draining
        self._waiting_config = None
        self._config = config
        self._draining = draining
        self.allocator.set_pools((*config.pools, *draining))
        drained = (DrainingChanged(draining),) if changed else ()
        return (ConfigApplied(config), *drained)

    def _drop_drained(self) -> tuple[Effect, ...]:
        """Remove the draining pools that no service holds addresses of any more."""
        needed = still_needed(self._draining, self.allocator.holdings())
        if self._config is None or needed == self._draining:
            return ()
        self._draining = needed
        self.allocator.set_pools((*self._config.pools, *needed))
        return (DrainingChanged(needed),)

    def _report_orphans(self, orphans: list[tuple[str, Holding]]) -> tuple[Effect, ...]:
        return tuple(Orphaned(self._services[key], held, self._policy) for key, held in orphans)

    def concerns(self, service: Service) -> bool:
        """Whether this controller has to serve the service, or to clear its status."""
        if service.unread:  # its addresses stay reserved, whatever else the object contains
            return bool(service.status_addresses)
        # MetalLB since 0.13.2: without --lb-class only services that name no class.
        if (service.spec.load_balancer_class or "") != self._class:
            return False
        # A service of another type matters while its status is left to clear.
        return service.is_load_balancer or bool(service.ingress) or service.key in self._services

    def _start_if_ready(self) -> tuple[Effect, ...]:
        if self._started or not self._services_synced or self._config is None:
            return ()
        waiting = self._waiting_config
        if not all(map(self._has_namespaces_for, filter(None, (self._config, waiting)))):
            return ()
        self._started = True
        order = self._in_order(self._services)
        effects: list[Effect] = [*self._reclaim([self._services[key] for key in order]), Started()]
        effects += self._converge_all(order)
        waiting = self._waiting_config
        return (*effects, *(self.config_changed(waiting) if waiting else ()))

    def _reclaim(self, services: list[Service]) -> tuple[Effect, ...]:
        """Bind the addresses in statuses; they decide which configuration comes into force."""
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
        return (*applied, *changed, *self._report_orphans(list(orphans)))

    def _in_order(self, keys: Iterable[str]) -> list[str]:
        return sorted(keys, key=lambda key: (self._created(key), key))

    def _created(self, key: str) -> str:
        return self._services[key].metadata.creation_timestamp or ""

    def _forget(self, key: str) -> tuple[Effect, ...]:
        self._pending.discard(key)
        self._outcomes.pop(key, None)
        self._forget_waiting(key)
        self._contests.forget(key)
        if self._services.pop(key, None) is None:
            return ()
        self._note_change(self.allocator.held(key), None)
        self.allocator.release(key)
        return (ServiceGone(key),)

    def _forget_waiting(self, key: str) -> None:
        self._waiting.remove(key)
        self._movers.pop(key, None)
        self._grace_ends.pop(key, None)
        self._vacated.pop(key, None)

    # Deciding

    def _converge_all(self, keys: Iterable[str]) -> tuple[Effect, ...]:
        effects: list[Effect] = []
        for key in self._in_order(keys):
            effects += self._converge(key)
        return (*effects, *self._drop_drained(), *self._serve_waiting())

    def _serve_waiting(self) -> tuple[Effect, ...]:
        """Serve waiting services, or apply a waiting configuration, if something changed."""
        effects: list[Effect] = []
        # Each round brings a service closer to its request; the bound only limits a bug's effect.
        for _ in range(len(self._waiting) + 2):
            if not self._changed:
                break
            self._changed = False
            waiting = self._waiting_config
            if waiting and self._has_namespaces_for(waiting) and self._fits(waiting):
                return (*effects, *self.config_changed(waiting))
            effects += self._drop_drained()
            effects += self._try_waiting()
        return tuple(effects)

    def _try_waiting(self) -> tuple[Effect, ...]:
        """Try the oldest service of each group, and the next one whenever a holding changed."""
        effects: list[Effect] = []
        freed, self._freed = self._freed, set()
        sharing, self._sharing = self._sharing, set()
        heads = self._waiting.heads(freed, sharing)
        turns = [(turn, number) for number, (turn, _) in enumerate(heads)]
        heapify(turns)
        while turns:
            (_, key), number = heappop(turns)
            before = self.allocator.held(key)
            effects += self._converge(key)
            following = self._waiting.head(heads[number][1])
            if self.allocator.held(key) != before and following is not None:
                heappush(turns, (following, number))
        return tuple(effects)

    def _note_change(self, before: Holding | None, after: Holding | None) -> None:
        """Record addresses that became free, and sharing keys under which a holding changed."""
        if before == after:
            return
        if before is not None:
            self._changed = True
            self._freed.update(before.addresses)
        for held in filter(None, (before, after)):
            if self._waiting.may_share(held.terms.key):
                self._changed = True
                self._sharing.add(held.terms.key)

    def _converge(self, key: str) -> tuple[Effect, ...]:
        """Decide about a service and apply that. Any exception becomes the service's verdict."""
        effects = contain(partial(self._converge_unguarded, key))
        if not isinstance(effects, InternalError):
            return effects
        check = Check("service", passed=False, detail=f"internal error: {effects.detail}")
        outcome = outcome_of(key, Verdict(Reason.INTERNAL_ERROR, (check,)), self.allocator)
        return self._report(self._services[key], outcome)

    def _converge_unguarded(self, key: str) -> tuple[Effect, ...]:
        service = self._services[key]
        if service.unread:  # never decide from part of an object
            return ()
        request = parse(service, self._namespaces.get(service.metadata.namespace))
        before = self.allocator.held(key)
        decision = decide(service, request, self.allocator, self._memory(key))
        exchange = self._find_exchange(key, request, decision)
        if exchange:
            return self._exchange(exchange)
        carry_out(key, decision, self.allocator)
        self._note(key, before, decision)
        outcome = outcome_of(key, decision, self.allocator)
        if before is None and self._contests.is_contested(key):
            outcome = replace(outcome, cleared=None)  # another controller wrote those
        return (*self._report(service, outcome), *self._write(service, outcome))

    def _memory(self, key: str) -> Memory:
        left, until = self._vacated.get(key, ((), 0.0))
        if until <= self._now:
            self._vacated.pop(key, None)
            left = ()
        grace_end = self._grace_ends.get(key)
        return Memory(grace_end is None or grace_end > self._now, left)

    def _note(self, key: str, before: Holding | None, decision: Decision) -> None:
        """Record what a service waits for after a decision, and until when."""
        after = self.allocator.held(key)
        self._note_change(before, after)
        if isinstance(decision, Keep) and decision.wanted is not None:
            self._wake_at(self._grace_ends.setdefault(key, self._now + SHARING_GRACE), key)
        else:
            if self._grace_ends.pop(key, None) is not None and after is not None:
                self._changed = True  # it no longer shares on the old terms
                self._freed.update(after.addresses)
                self._sharing.add(after.terms.key)
        cleared = decision.cleared
        left = before is not None and cleared is not None and cleared.reason is Reason.NOT_ALLOWED
        if left and before is not None and not isinstance(decision, Keep):
            self._vacated[key] = (before.addresses, self._now + SHARING_GRACE)
            self._wake_at(self._now + SHARING_GRACE, key)
        elif isinstance(decision, Release) or (key in self._vacated and self._is_back(key, after)):
            self._vacated.pop(key, None)
        awaits = None if isinstance(decision, Release) else decision.awaits
        if key in self._vacated:
            awaits = Awaited(key)
        if awaits is None:
            self._waiting.remove(key)
        else:
            self._waiting.put(key, self._created(key), awaits)

    def _is_back(self, key: str, held: Holding | None) -> bool:
        return held is not None and held.addresses == self._vacated[key][0]

    def _wake_at(self, when: float, key: str) -> None:
        deadline = (when, key)
        if deadline not in self._scheduled:
            self._scheduled.add(deadline)
            heappush(self._deadlines, deadline)

    # Exchanges

    def _find_exchange(
        self, key: str, request: ServiceRequest | InvalidRequest, decision: Decision
    ) -> dict[str, Assign]:
        """Return a decision for each service of an exchange that this service completes."""
        self._movers.pop(key, None)
        if not isinstance(decision, Keep) or not isinstance(request, ServiceRequest):
            return {}
        if decision.awaits is None or not request.addresses or decision.wanted is not None:
            return {}
        self._movers[key] = request
        found = {}
        for each, (addresses, terms) in find_exchange(key, self._movers, self.allocator).items():
            checks = Checks()
            checks.passed("addresses", go_quote_list(addresses))
            cleared = Cleared(Reason.DIFFERENT_IP, f"it asks for {go_quote_list(addresses)}")
            found[each] = Assign(addresses, checks.all_passed(), terms, cleared)
        return found

    def _exchange(self, decisions: dict[str, Assign]) -> tuple[Effect, ...]:
        before = {key: self.allocator.held(key) for key in decisions}
        self.allocator.exchange({k: (d.addresses, d.terms) for k, d in decisions.items()})
        effects: list[Effect] = []
        for key, decision in decisions.items():
            self._movers.pop(key, None)
            self._note(key, before[key], decision)
            outcome = outcome_of(key, decision, self.allocator)
            service = self._services[key]
            effects += [*self._report(service, outcome), *self._write(service, outcome)]
        return tuple(effects)

    # Reporting

    def _report(self, service: Service, outcome: Outcome) -> tuple[Effect, ...]:
        key = service.key
        earlier = self._outcomes.get(key)
        self._outcomes[key] = outcome
        if service.is_load_balancer and not outcome.addresses:
            self._pending.add(key)
        else:
            self._pending.discard(key)
        changed = earlier is None or outcome.verdict != earlier.verdict
        if outcome.cleared or outcome.allocated or changed:
            return (Decided(service, outcome),)
        return ()

    def _write(self, service: Service, outcome: Outcome) -> tuple[Effect, ...]:
        """Return the write of a status that differs; schedule it for later if it is contested."""
        key, pool = service.key, configured_name(outcome.pool)
        shown = _status_matches(service, outcome.addresses, pool)
        wanted = (outcome.addresses, pool)
        contested = self._contests.observe(key, wanted, self._now, shown=shown)
        if shown:
            if not service.is_load_balancer:
                del self._services[key]  # nothing is left to clear
            return ()
        effects: list[Effect] = []
        if contested:
            ours = set(map(str, outcome.addresses))
            entries = (entry.ip or entry.hostname for entry in service.ingress)
            foreign = tuple(entry for entry in entries if entry not in ours)
            effects.append(StatusContested(service, outcome.addresses, foreign))
        not_before = self._contests.not_before(key)
        if not_before > self._now:
            self._wake_at(not_before, key)
        else:
            effects.append(WriteStatus(service, outcome.addresses, pool))
        return tuple(effects)


def carry_out(key: str, decision: Decision, allocator: Allocator) -> None:
    """Apply a decision about a service to the allocator."""
    match decision:
        case Keep(addresses, _, terms, wanted):
            held = allocator.held(key)
            now = (held.addresses, held.terms, held.wanted) if held else None
            if now != (addresses, terms, wanted):
                allocator.assign(key, addresses, terms, wanted)
        case Assign(addresses, _, terms):
            allocator.assign(key, addresses, terms)
        case Release() | Pending():
            allocator.release(key)
        case _:
            assert_never(decision)


def outcome_of(key: str, decided: Decision | Verdict, allocator: Allocator) -> Outcome:
    """Return the outcome of a decision that was applied, or of a verdict, which changes nothing."""
    held = allocator.held(key)
    verdict = decided if isinstance(decided, Verdict) else decided.verdict
    cleared = None if isinstance(decided, Verdict) else decided.cleared
    if held is None:
        return Outcome(verdict, cleared=cleared)
    new = isinstance(decided, Assign)
    return Outcome(verdict, held.addresses, held.pool, cleared, allocated=new)


def _status_matches(service: Service, addresses: tuple[IPAddress, ...], pool: str) -> bool:
    """Whether a service's status and annotation have these addresses and this pool.

    Of a status only the addresses are compared: servers add other fields to its entries.
    """
    if not addresses and service.ingress:
        return False
    named = service.metadata.annotation(POOL_ANNOTATION)
    return service.status_addresses == addresses and named == pool
