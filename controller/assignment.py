"""What is to become of one service: it keeps its addresses, gets others, or loses them.

``decide`` is a pure function of the service, what it holds, and what the allocator answers; the
core applies the decision. The order of the questions is MetalLB's (its controller's converge).
Where MetalLB differs, ``docs/differences.md`` says how: above all, a service keeps what it holds
until it can have what it asks for instead.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import assert_never

from controller.allocator import Allocator, NoAddressError
from controller.requests import (
    Fault,
    InvalidRequest,
    ServiceRequest,
    SharingTerms,
    parse,
    sharing_terms,
)
from controller.waiting import Awaited
from metallb_py.addresses import Family, IPAddress, go_quote_list
from metallb_py.config.draining import configured_name
from metallb_py.errors import AllocationError
from metallb_py.isolation import contain
from metallb_py.kube.objects import Service
from metallb_py.verdict import Checks, Verdict


class Reason(StrEnum):
    """Why a service does not have, or keep, an address: MetalLB's tokens.

    ``notAllowedByConfig`` is from 0.9; 0.12 logs an error in its place. The last two are ours.
    """

    NOT_LOAD_BALANCER = "notLoadBalancer"
    NO_CLUSTER_IPS = "noClusterIPs"
    LB_IP_FAMILY = "nolbIPsIPFamily"
    CLUSTER_IP_FAMILY = "noclusterIPsIPFamily"
    DIFFERENT_POOL = "differentPoolRequested"
    DIFFERENT_IP = "differentIPRequested"
    NOT_ALLOWED = "notAllowedByConfig"
    INVALID_REQUEST = "LoadBalancerFailed"
    ALLOCATION_FAILED = "AllocationFailed"
    BEING_DELETED = "beingDeleted"
    INTERNAL_ERROR = "internalError"


@dataclass(frozen=True, slots=True)
class Cleared:
    """A service lost addresses, and why."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided for one service.

    ``addresses`` is what its status must hold. ``cleared`` names addresses that it lost on the
    way; ``allocated`` means that the addresses are new to it.
    """

    verdict: Verdict
    addresses: tuple[IPAddress, ...] = ()
    pool: str = ""
    cleared: Cleared | None = None
    allocated: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Go on with the addresses that the service holds or shows.

    ``wanted``: it shares them on the old terms for a while, and waits for the other services on
    them to change theirs alike. ``awaits`` is equal for services that wait for the same.
    """

    addresses: tuple[IPAddress, ...]
    verdict: Verdict
    terms: SharingTerms
    wanted: SharingTerms | None = None
    cleared: Cleared | None = None
    awaits: Awaited | None = None


@dataclass(frozen=True, slots=True)
class Assign:
    """Bind addresses that are new to the service, in place of what it holds."""

    addresses: tuple[IPAddress, ...]
    verdict: Verdict
    terms: SharingTerms
    cleared: Cleared | None = None
    awaits: Awaited | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The service is to have no addresses, and asks for none."""

    verdict: Verdict
    cleared: Cleared | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The service has no addresses, and waits for some."""

    verdict: Verdict
    cleared: Cleared | None = None
    awaits: Awaited | None = None


Decision = Keep | Assign | Release | Pending


@dataclass(frozen=True, slots=True)
class Memory:
    """What the core remembers of a service beside its holding.

    ``patient``: others on its addresses still have time to change their terms as it changed its.
    ``home``: addresses that it left, a moment ago, because a port was in use there.
    """

    patient: bool = True
    home: tuple[IPAddress, ...] = ()


NEW = Memory()
UNSHARED = SharingTerms()


def reclaim(service: Service, allocator: Allocator) -> None:
    """Bind what a service's status shows, if it may still have it; else change nothing.

    Done for all services before anything new is given out, so that a restart takes no address
    away, whatever its pool is reserved for by now.
    """
    if allocator.held(service.key) is not None:
        return
    if service.unread:
        if service.status_addresses:
            allocator.assign(service.key, service.status_addresses, sharing_terms(service))
        return
    if not service.is_load_balancer:
        return
    request = parse(service)
    addresses, _ = _fitting(service.status_addresses, request, allocator)
    base = _sharing(service.key, addresses, request.terms, allocator, patient=True)
    if base.addresses:
        allocator.assign(service.key, base.addresses, base.terms, base.wanted)


def reclaim_in_order(services: Iterable[Service], allocator: Allocator) -> None:
    """Reclaim for all services; last for those that ask for other addresses than they show.

    The one that such a service still shows may have been given to another meanwhile. Last of all
    those that can't be decoded as a whole: how they share may be what can't.
    """
    present = tuple(services)
    movers = {s.key for s in present if contain(partial(_asks_for_others, s)) is not False}
    for service in sorted(present, key=lambda s: (bool(s.unread), s.key in movers)):  # stable
        contain(partial(reclaim, service, allocator))


def _asks_for_others(service: Service) -> bool:
    request = parse(service)
    wanted = request.addresses if isinstance(request, ServiceRequest) else ()
    return bool(wanted) and set(wanted) != set(service.status_addresses)


def decide(
    service: Service,
    request: ServiceRequest | InvalidRequest,
    allocator: Allocator,
    memory: Memory = NEW,
) -> Decision:
    """Decide about one service. Changes nothing."""
    checks = Checks()
    refusal = _not_ours(service)
    if refusal is not None:
        lost = allocator.held(service.key) is not None or bool(service.ingress)
        verdict = checks.failed("service", refusal.reason, refusal.detail)
        return Release(verdict, refusal if lost else None)
    if service.metadata.deletion_timestamp:
        return _leave_alone(service, request, allocator, checks)
    checks.passed("service")
    base = _base(service, request, allocator, memory)
    case = _Case(service.key, allocator, base, checks)
    if isinstance(request, InvalidRequest):
        return case.refuse(request)
    checks.passed("request")
    return case.answer(request, memory.home)


def _not_ours(service: Service) -> Cleared | None:
    if not service.is_load_balancer:
        return Cleared(Reason.NOT_LOAD_BALANCER, f"its type is {service.spec.type}")
    if not service.cluster_ips:
        return Cleared(Reason.NO_CLUSTER_IPS, "it has no cluster addresses")
    return None


def _leave_alone(
    service: Service,
    request: ServiceRequest | InvalidRequest,
    allocator: Allocator,
    checks: Checks,
) -> Decision:
    """Let a service that is being deleted have what it has until it is gone."""
    detail = "it is being deleted: it gets nothing new"
    verdict = checks.failed("service", Reason.BEING_DELETED, detail)
    held = allocator.held(service.key)
    if held is not None:
        return Keep(held.addresses, verdict, held.terms, held.wanted)
    shown, cleared = _fitting(service.status_addresses, request, allocator)
    base = _sharing(service.key, shown, request.terms, allocator, patient=True)
    if not base.addresses:
        return Pending(verdict, base.cleared or cleared)
    return Keep(base.addresses, verdict, base.terms, base.wanted)


@dataclass(frozen=True, slots=True)
class _Base:
    """What a service has and may keep, on which terms; and what it lost. It may be nothing."""

    addresses: tuple[IPAddress, ...] = ()
    terms: SharingTerms = UNSHARED
    wanted: SharingTerms | None = None
    conflict: str = ""
    """Why it shares its addresses on the old terms still."""
    cleared: Cleared | None = None


def _base(
    service: Service,
    request: ServiceRequest | InvalidRequest,
    allocator: Allocator,
    memory: Memory,
) -> _Base:
    """Return what a service may keep of what it holds, or else of what its status shows.

    What it holds it may keep, whatever its pool is reserved for by now. What only its status shows
    is a claim like any other.
    """
    held = allocator.held(service.key)
    present = held.addresses if held else service.status_addresses
    if not present:
        none = Cleared(Reason.LB_IP_FAMILY, "no valid address in it") if service.ingress else None
        return _Base(cleared=none)
    addresses, cleared = _fitting(present, request, allocator)
    claims = held is None and bool(addresses)
    denial = allocator.tenancy_denial(addresses, request.tenant) if claims else ""
    if denial:
        return _Base(cleared=Cleared(Reason.NOT_ALLOWED, denial))
    patient = held is not None and memory.patient
    base = _sharing(service.key, addresses, request.terms, allocator, patient=patient)
    return replace(base, cleared=base.cleared or cleared)


def _fitting(
    present: tuple[IPAddress, ...],
    request: ServiceRequest | InvalidRequest,
    allocator: Allocator,
) -> tuple[tuple[IPAddress, ...], Cleared | None]:
    """Return those of the addresses that a service may have: of one pool, one of each family.

    And why it loses others. Where the service's own families can't be read, any will do.
    """
    families = request.families if isinstance(request, ServiceRequest) else tuple(Family)
    kept: tuple[IPAddress, ...] = ()
    cleared: list[Cleared] = []
    for address in present:
        family = Family.of(address)
        if family not in families:
            names = ",".join(each.value for each in families)
            detail = f"{go_quote_list([address])} does not fit {names}"
            cleared.append(Cleared(Reason.LB_IP_FAMILY, detail))
        elif denial := allocator.ownership_denial((*kept, address)):
            cleared.append(Cleared(Reason.NOT_ALLOWED, denial))
        elif family in map(Family.of, kept):
            detail = f"{go_quote_list((*kept, address))}: want one address of each family"
            cleared.append(Cleared(Reason.LB_IP_FAMILY, detail))
        else:
            kept += (address,)
    return kept, cleared[0] if cleared else None


def _sharing(
    key: str,
    addresses: tuple[IPAddress, ...],
    terms: SharingTerms,
    allocator: Allocator,
    *,
    patient: bool,
) -> _Base:
    """Return on which terms a service may go on with its addresses, if it may.

    Where only keys, policies or selectors are in the way, it shares on the old terms for a while:
    one ``kubectl apply`` that changes several services changes one after the other.
    """
    conflict = allocator.sharing_conflict(key, addresses, terms)
    if conflict is None:
        return _Base(addresses, terms)
    held = allocator.held(key)
    old = held.terms if held else allocator.terms_of_others(key, addresses)
    if patient and old is not None and not conflict.port_clash:
        shared = SharingTerms(old.key, old.backend_key, terms.ports)
        if allocator.sharing_conflict(key, addresses, shared) is None:
            return _Base(addresses, shared, terms, conflict.detail)
    return _Base(cleared=Cleared(Reason.NOT_ALLOWED, conflict.detail))


@dataclass(frozen=True, slots=True)
class _Case:
    """One service that is to have addresses, and what it has to begin with."""

    key: str
    allocator: Allocator
    base: _Base
    checks: Checks

    def refuse(self, request: InvalidRequest) -> Decision:
        """Leave a service what it has, if anything, until it asks for what can be."""
        match request.fault:
            case Fault.CLUSTER_ADDRESSES:
                reason = Reason.CLUSTER_IP_FAMILY
            case Fault.REQUESTED_ADDRESSES:
                has = bool(self.base.addresses)
                reason = Reason.INVALID_REQUEST if has else Reason.ALLOCATION_FAILED
            case _:
                assert_never(request.fault)
        return self._stay(self.checks.failed("request", reason, request.detail))

    def answer(self, request: ServiceRequest, home: tuple[IPAddress, ...]) -> Decision:
        """Give a service what it asks for, or let it wait for that with what it has."""
        base = self.base.addresses
        if request.addresses:
            return self._requested(request)
        pool = self.allocator.owner_of(base) if base else None
        if pool is not None and request.pool not in ("", configured_name(pool)):
            return self._move_to_pool(request)
        if home and home != base and self._may_return(request, home):
            return self._assign(home, request.terms)
        if not base:
            return self._choose(request, self.base.cleared)
        if len(base) < len(request.families) and self.base.wanted is None:
            return self._complete(request)
        return self._keep()

    def _requested(self, request: ServiceRequest) -> Decision:
        base, wanted = self.base.addresses, request.addresses
        if set(base) == set(wanted):
            owner = configured_name(self.allocator.owner_of(base) or "")
            if request.pool in ("", owner):
                return self._keep()
            detail = (
                f'it asks for pool "{request.pool}", and for {go_quote_list(wanted)} of pool '
                f'"{owner}": want addresses of the pool'
            )
            return self._stay(self.checks.failed("addresses", Reason.DIFFERENT_POOL, detail))
        denial = self.allocator.denial(self.key, wanted, request)
        if denial:
            placement = self.allocator.placement_denial(wanted, request)
            awaits = Awaited((request.pool, _alone(request.terms), placement), wanted)
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, denial)
            return self._stay(verdict, awaits)
        other = Cleared(Reason.DIFFERENT_IP, f"it asks for {go_quote_list(wanted)}")
        return self._assign(wanted, request.terms, other if base else self.base.cleared)

    def _move_to_pool(self, request: ServiceRequest) -> Decision:
        if not self.allocator.offers(request.pool):
            # MetalLB takes the address away, and then has none to give.
            detail = f'unknown pool "{request.pool}"'
            return self._stay(self.checks.failed("request", Reason.INVALID_REQUEST, detail))
        other = Cleared(Reason.DIFFERENT_POOL, f'it asks for pool "{request.pool}"')
        return self._choose(request, other)

    def _choose(self, request: ServiceRequest, cleared: Cleared | None) -> Decision:
        try:
            _, addresses = self.allocator.choose(request, self.key)
        except NoAddressError as error:
            for each in error.rejections:
                self.checks.refused(f'pool "{each.pool}"', each.detail)
            fewer = request.fewer_families_do
            awaits = self._awaited(request, (fewer, request.pool, error.rejections))
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, str(error))
            return self._stay(verdict, awaits)
        except AllocationError as error:  # only another configuration or label can help
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, str(error))
            return self._stay(verdict)
        assign = self._assign(addresses, request.terms, cleared)
        if len(addresses) == len(request.families):
            return assign
        return replace(assign, awaits=self._awaited_complement(addresses, request))

    def _complete(self, request: ServiceRequest) -> Decision:
        """Add the address of the second family, of the same pool; the first one stays first."""
        base = self.base.addresses
        try:
            found = self.allocator.complement(base, request)
        except AllocationError as error:
            awaited = self._awaited(request, (base[0].version, str(error)))
            if request.fewer_families_do:
                return replace(self._keep(), awaits=awaited)
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, str(error))
            return self._stay(verdict, awaited)
        return self._assign((*base, *found), request.terms)

    def _awaited_complement(
        self, addresses: tuple[IPAddress, ...], request: ServiceRequest
    ) -> Awaited:
        """Return what a service waits for that just got fewer addresses than it would take."""
        try:
            self.allocator.complement(addresses, request)
        except AllocationError as error:
            return self._awaited(request, (addresses[0].version, str(error)))
        return Awaited(self.key)

    def _awaited(self, request: ServiceRequest, prospects: Hashable) -> Awaited:
        """Return what a service waits for that asks for no certain addresses."""
        terms = request.terms if request.terms.key else None
        return Awaited((request.families, prospects), terms=terms)

    def _may_return(self, request: ServiceRequest, home: tuple[IPAddress, ...]) -> bool:
        fits = set(map(Family.of, home)) <= set(request.families)
        return fits and not self.allocator.denial(self.key, home, request)

    def _assign(
        self,
        addresses: tuple[IPAddress, ...],
        terms: SharingTerms,
        cleared: Cleared | None = None,
    ) -> Assign:
        self.checks.passed("addresses", go_quote_list(addresses))
        return Assign(addresses, self.checks.all_passed(), terms, cleared or self.base.cleared)

    def _keep(self) -> Keep:
        base = self.base
        if base.wanted is not None:
            detail = f"{base.conflict}; want the others changed alike, in a moment"
            verdict = self.checks.failed("addresses", Reason.NOT_ALLOWED, detail)
            awaits = Awaited(self.key)
            return Keep(base.addresses, verdict, base.terms, base.wanted, base.cleared, awaits)
        self.checks.passed("addresses", go_quote_list(base.addresses))
        verdict = self.checks.all_passed()
        return Keep(base.addresses, verdict, base.terms, cleared=base.cleared)

    def _stay(self, verdict: Verdict, awaits: Awaited | None = None) -> Keep | Pending:
        base = self.base
        if not base.addresses:
            return Pending(verdict, base.cleared, awaits)
        if base.wanted is not None:
            awaits = Awaited(self.key)
        return Keep(base.addresses, verdict, base.terms, base.wanted, base.cleared, awaits)


def _alone(terms: SharingTerms) -> SharingTerms:
    """Return the terms as far as they matter to what a service may get: not without a key."""
    return terms if terms.key else UNSHARED
