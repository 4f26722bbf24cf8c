"""Decision about one service: it keeps its addresses, gets others, or loses them.

``decide`` is a pure function of the service, its request, the allocator's state and the core's
memory of the service; the core applies the decision. The order of the checks is that of
``convergeBalancer`` in MetalLB's controller. ``docs/differences.md`` lists the differences: above
all, a service keeps the addresses that it holds until it can have the requested ones.
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
from metallb_py.addresses import AddressFamily, IPAddress, go_quote_list
from metallb_py.config.draining import configured_name
from metallb_py.errors import AllocationError
from metallb_py.isolation import contain
from metallb_py.kube.objects import Service
from metallb_py.verdict import Checks, Verdict


class Reason(StrEnum):
    """Reason why a service does not get, or keep, an address: MetalLB's tokens.

    ``notAllowedByConfig`` is from 0.9; 0.12 logs an error in its place. MetalLB does not have the
    last two.
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
    """Reason why a service loses addresses."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a decision that was applied."""

    verdict: Verdict
    addresses: tuple[IPAddress, ...] = ()
    """The addresses that the service's status must have; empty for none."""
    pool: str = ""
    """Name of their pool; empty without addresses."""
    cleared: Cleared | None = None
    """Set if the service lost addresses by this decision."""
    allocated: bool = False
    """Whether the addresses are new to the service."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep the addresses that the service holds or that its status contains."""

    addresses: tuple[IPAddress, ...]
    verdict: Verdict
    terms: SharingTerms
    """Sharing terms in force for the addresses."""
    wanted: SharingTerms | None = None
    """Requested terms, if they are not in force yet: the service shares on the old ones during a
    grace period, until the other services on the addresses make the same change."""
    cleared: Cleared | None = None
    """Set if the service loses other addresses."""
    awaits: Awaited | None = None
    """Set if the service waits for something; equal for services that wait for the same."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Bind addresses that are new to the service, in place of those that it holds."""

    addresses: tuple[IPAddress, ...]
    verdict: Verdict
    terms: SharingTerms
    """Sharing terms in force for the addresses."""
    cleared: Cleared | None = None
    """Set if the service loses other addresses."""
    awaits: Awaited | None = None
    """Set if the service waits for the address of a second family."""


@dataclass(frozen=True, slots=True)
class Release:
    """Free the addresses of a service that requests none."""

    verdict: Verdict
    cleared: Cleared | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """Leave a service without addresses. It waits for some."""

    verdict: Verdict
    cleared: Cleared | None = None
    awaits: Awaited | None = None


Decision = Keep | Assign | Release | Pending


@dataclass(frozen=True, slots=True)
class Memory:
    """State that the core keeps about a service besides its holding."""

    within_grace: bool = True
    """Whether the other services on its addresses may still make the change that it made to its
    sharing terms: True before and during the grace period."""
    left_addresses: tuple[IPAddress, ...] = ()
    """Addresses that it had to leave recently because of a conflict, and may return to."""


NEW = Memory()
UNSHARED = SharingTerms()


def reclaim(service: Service, allocator: Allocator) -> None:
    """Bind the addresses in a service's status, if it may still have them.

    Done for all services before any address is allocated, so that a restart takes no address from
    a service, even if its pool has been reserved for others since.
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
    base = _sharing(service.key, addresses, request.terms, allocator, within_grace=True)
    if base.addresses:
        allocator.assign(service.key, base.addresses, base.terms, base.wanted)


def reclaim_in_order(services: Iterable[Service], allocator: Allocator) -> None:
    """Reclaim for all services; later for those that request other addresses than they have.

    The address in the status of such a service may have been assigned to another meanwhile. Last
    are the services that can't be decoded as a whole: the undecoded part may be their sharing
    terms.
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
    """Decide about one service. Change nothing."""
    checks = Checks()
    refusal = _ineligible(service)
    if refusal is not None:
        lost = allocator.held(service.key) is not None or bool(service.ingress)
        verdict = checks.failed("service", refusal.reason, refusal.detail)
        return Release(verdict, refusal if lost else None)
    if service.metadata.deletion_timestamp:
        return _decide_deleted(service, request, allocator, checks)
    checks.passed("service")
    base = _base(service, request, allocator, memory)
    case = _Case(service.key, allocator, base, checks)
    if isinstance(request, InvalidRequest):
        return case.refuse(request)
    checks.passed("request")
    return case.answer(request, memory.left_addresses)


def _ineligible(service: Service) -> Cleared | None:
    if not service.is_load_balancer:
        return Cleared(Reason.NOT_LOAD_BALANCER, f"its type is {service.spec.type}")
    if not service.cluster_ips:
        return Cleared(Reason.NO_CLUSTER_IPS, "it has no cluster addresses")
    return None


def _decide_deleted(
    service: Service,
    request: ServiceRequest | InvalidRequest,
    allocator: Allocator,
    checks: Checks,
) -> Decision:
    """Decide about a service that is being deleted: it keeps its addresses and gets no others."""
    detail = "it is being deleted: it gets nothing new"
    verdict = checks.failed("service", Reason.BEING_DELETED, detail)
    held = allocator.held(service.key)
    if held is not None:
        return Keep(held.addresses, verdict, held.terms, held.wanted)
    shown, cleared = _fitting(service.status_addresses, request, allocator)
    base = _sharing(service.key, shown, request.terms, allocator, within_grace=True)
    if not base.addresses:
        return Pending(verdict, base.cleared or cleared)
    return Keep(base.addresses, verdict, base.terms, base.wanted)


@dataclass(frozen=True, slots=True)
class _Base:
    """Part of a service's present addresses that it may keep."""

    addresses: tuple[IPAddress, ...] = ()
    """Empty if it has none or may keep none."""
    terms: SharingTerms = UNSHARED
    """Terms on which it may share them now."""
    wanted: SharingTerms | None = None
    """Requested terms, if they are not in force yet."""
    conflict: str = ""
    """Reason why the requested terms are not in force yet."""
    cleared: Cleared | None = None
    """Set if it loses present addresses."""


def _base(
    service: Service,
    request: ServiceRequest | InvalidRequest,
    allocator: Allocator,
    memory: Memory,
) -> _Base:
    """Return what a service may keep of its holding, or without one of its status's addresses.

    It may keep a holding even if the pool has been reserved for others since. Addresses that are
    only in its status are checked against the pool's restrictions as new ones are.
    """
    held = allocator.held(service.key)
    present = held.addresses if held else service.status_addresses
    if not present:
        invalid = (
            Cleared(Reason.LB_IP_FAMILY, "no valid address in it") if service.ingress else None
        )
        return _Base(cleared=invalid)
    addresses, cleared = _fitting(present, request, allocator)
    unbound = held is None and bool(addresses)
    denial = allocator.tenancy_denial(addresses, request.tenant) if unbound else ""
    if denial:
        return _Base(cleared=Cleared(Reason.NOT_ALLOWED, denial))
    within_grace = held is not None and memory.within_grace
    base = _sharing(service.key, addresses, request.terms, allocator, within_grace=within_grace)
    return replace(base, cleared=base.cleared or cleared)


def _fitting(
    present: tuple[IPAddress, ...],
    request: ServiceRequest | InvalidRequest,
    allocator: Allocator,
) -> tuple[tuple[IPAddress, ...], Cleared | None]:
    """Return the addresses that a service may have (one pool, one per family), and any loss.

    If the service's own families can't be parsed, all families are accepted.
    """
    families = request.families if isinstance(request, ServiceRequest) else tuple(AddressFamily)
    kept: tuple[IPAddress, ...] = ()
    cleared: list[Cleared] = []
    for address in present:
        family = AddressFamily.of(address)
        if family not in families:
            names = ",".join(each.label for each in families)
            detail = f"{go_quote_list([address])} does not fit {names}"
            cleared.append(Cleared(Reason.LB_IP_FAMILY, detail))
        elif denial := allocator.ownership_denial((*kept, address)):
            cleared.append(Cleared(Reason.NOT_ALLOWED, denial))
        elif family in map(AddressFamily.of, kept):
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
    within_grace: bool,
) -> _Base:
    """Return the terms on which a service may keep its addresses, if it may.

    If only keys, policies or selectors conflict, it shares on the old terms during a grace period:
    a ``kubectl apply`` that changes several services changes one after the other.
    """
    conflict = allocator.sharing_conflict(key, addresses, terms)
    if conflict is None:
        return _Base(addresses, terms)
    held = allocator.held(key)
    old = held.terms if held else allocator.terms_of_others(key, addresses)
    if within_grace and old is not None and not conflict.port_clash:
        shared = SharingTerms(old.key, old.backend_key, terms.ports)
        if allocator.sharing_conflict(key, addresses, shared) is None:
            return _Base(addresses, shared, terms, conflict.detail)
    return _Base(cleared=Cleared(Reason.NOT_ALLOWED, conflict.detail))


@dataclass(frozen=True, slots=True)
class _Case:
    """Decision in progress about one service that requests addresses."""

    key: str
    allocator: Allocator
    base: _Base
    checks: Checks

    def refuse(self, request: InvalidRequest) -> Decision:
        """Decide about an invalid request: the service keeps its addresses, if it has any."""
        match request.fault:
            case Fault.CLUSTER_ADDRESSES:
                reason = Reason.CLUSTER_IP_FAMILY
            case Fault.REQUESTED_ADDRESSES:
                has = bool(self.base.addresses)
                reason = Reason.INVALID_REQUEST if has else Reason.ALLOCATION_FAILED
            case _:
                assert_never(request.fault)
        return self._keep_or_wait(self.checks.failed("request", reason, request.detail))

    def answer(self, request: ServiceRequest, left: tuple[IPAddress, ...]) -> Decision:
        """Decide about a valid request: fulfil it, or let the service wait with what it has."""
        base = self.base.addresses
        if request.addresses:
            return self._requested(request)
        pool = self.allocator.owner_of(base) if base else None
        if pool is not None and request.pool not in ("", configured_name(pool)):
            return self._move_to_pool(request)
        if left and left != base and self._may_return(request, left):
            return self._assign(left, request.terms)
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
            return self._keep_or_wait(
                self.checks.failed("addresses", Reason.DIFFERENT_POOL, detail)
            )
        denial = self.allocator.denial(self.key, wanted, request)
        if denial:
            placement = self.allocator.placement_denial(wanted, request)
            awaits = Awaited((request.pool, _effective_terms(request.terms), placement), wanted)
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, denial)
            return self._keep_or_wait(verdict, awaits)
        other = Cleared(Reason.DIFFERENT_IP, f"it asks for {go_quote_list(wanted)}")
        return self._assign(wanted, request.terms, other if base else self.base.cleared)

    def _move_to_pool(self, request: ServiceRequest) -> Decision:
        if not self.allocator.offers(request.pool):
            # MetalLB clears the address first, and then has no pool to allocate another from.
            detail = f'unknown pool "{request.pool}"'
            return self._keep_or_wait(self.checks.failed("request", Reason.INVALID_REQUEST, detail))
        other = Cleared(Reason.DIFFERENT_POOL, f'it asks for pool "{request.pool}"')
        return self._choose(request, other)

    def _choose(self, request: ServiceRequest, cleared: Cleared | None) -> Decision:
        try:
            _, addresses = self.allocator.choose(request, self.key)
        except NoAddressError as error:
            for each in error.rejections:
                self.checks.refused(f'pool "{each.pool}"', each.detail)
            fewer = request.prefers_dual_stack
            awaits = self._awaited(request, (fewer, request.pool, error.rejections))
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, str(error))
            return self._keep_or_wait(verdict, awaits)
        except AllocationError as error:  # only a change of configuration or labels can help
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, str(error))
            return self._keep_or_wait(verdict)
        assign = self._assign(addresses, request.terms, cleared)
        if len(addresses) == len(request.families):
            return assign
        return replace(assign, awaits=self._awaited_complement(addresses, request))

    def _complete(self, request: ServiceRequest) -> Decision:
        """Add an address of the second family from the same pool; the first one stays first."""
        base = self.base.addresses
        try:
            found = self.allocator.complement(base, request)
        except AllocationError as error:
            awaited = self._awaited(request, (base[0].version, str(error)))
            if request.prefers_dual_stack:
                return replace(self._keep(), awaits=awaited)
            verdict = self.checks.failed("addresses", Reason.ALLOCATION_FAILED, str(error))
            return self._keep_or_wait(verdict, awaited)
        return self._assign((*base, *found), request.terms)

    def _awaited_complement(
        self, addresses: tuple[IPAddress, ...], request: ServiceRequest
    ) -> Awaited:
        """Return what a service waits for after it got one address, but prefers two."""
        try:
            self.allocator.complement(addresses, request)
        except AllocationError as error:
            return self._awaited(request, (addresses[0].version, str(error)))
        return Awaited(self.key)

    def _awaited(self, request: ServiceRequest, prospects: Hashable) -> Awaited:
        """Return what a service waits for that requests no specific addresses."""
        terms = request.terms if request.terms.key else None
        return Awaited((request.families, prospects), terms=terms)

    def _may_return(self, request: ServiceRequest, left: tuple[IPAddress, ...]) -> bool:
        fits = set(map(AddressFamily.of, left)) <= set(request.families)
        return fits and not self.allocator.denial(self.key, left, request)

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
            detail = f"{base.conflict}; want the same change in the other services within seconds"
            verdict = self.checks.failed("addresses", Reason.NOT_ALLOWED, detail)
            awaits = Awaited(self.key)
            return Keep(base.addresses, verdict, base.terms, base.wanted, base.cleared, awaits)
        self.checks.passed("addresses", go_quote_list(base.addresses))
        verdict = self.checks.all_passed()
        return Keep(base.addresses, verdict, base.terms, cleared=base.cleared)

    def _keep_or_wait(self, verdict: Verdict, awaits: Awaited | None = None) -> Keep | Pending:
        base = self.base
        if not base.addresses:
            return Pending(verdict, base.cleared, awaits)
        if base.wanted is not None:
            awaits = Awaited(self.key)
        return Keep(base.addresses, verdict, base.terms, base.wanted, base.cleared, awaits)


def _effective_terms(terms: SharingTerms) -> SharingTerms:
    """Return the terms that affect sharing: without a key the others have no effect."""
    return terms if terms.key else UNSHARED
