"""What is to become of one service: keep its addresses, give it some, or take them away.

The order of the questions is MetalLB's (its controller's converge). Where MetalLB trusts the
service object over its own memory, and so may renumber a service whose status write is still on
its way, the memory wins here.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum

from controller.allocator import Allocator, Holding, NoAddressError
from controller.requests import Request, families_of, read_request, sharing_terms, tenant_of
from metallb_py.addresses import Family, IPAddress, go_quote_list
from metallb_py.config.draining import configured_name
from metallb_py.config.tenancy import Tenant
from metallb_py.errors import AllocationError
from metallb_py.kube.objects import Labels, Service
from metallb_py.verdict import Checks, Verdict


class Reason(StrEnum):
    """Why a service does not have, or keep, an address: MetalLB's tokens.

    ``notAllowedByConfig`` is from 0.9; 0.12 logs an error in its place.
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


@dataclass(frozen=True, slots=True)
class Cleared:
    """A service lost what it had, and why."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided for one service.

    ``addresses`` is what its status must hold. ``cleared`` tells of addresses that it lost on the
    way; ``allocated`` that the addresses are new to it.
    """

    verdict: Verdict
    addresses: tuple[IPAddress, ...] = ()
    pool: str = ""
    cleared: Cleared | None = None
    allocated: bool = False


def reclaim(service: Service, allocator: Allocator) -> None:
    """Bind what a service's status holds, if it may still have it; else change nothing.

    Done for all services before anything new is given out, so that a restart takes nobody's
    address away. A service that asks for other addresses by now has none to reclaim: the one that
    it still shows may be somebody else's already.
    """
    addresses = service.status_addresses
    if not service.is_load_balancer or not addresses or allocator.held(service.key) is not None:
        return
    with contextlib.suppress(AllocationError):
        if _asks_for_others(service, addresses):
            return
    with contextlib.suppress(AllocationError):
        allocator.assign(service.key, addresses, sharing_terms(service))


def _asks_for_others(service: Service, addresses: tuple[IPAddress, ...]) -> bool:
    wanted = read_request(service).addresses
    return bool(wanted) and set(wanted) != set(addresses)


def converge(
    service: Service, allocator: Allocator, namespace_labels: Labels | None = None
) -> Outcome:
    """Decide about one service and bind its addresses accordingly.

    ``namespace_labels`` are those of its namespace, None as long as they are not known.
    """
    checks = Checks()
    refusal = _not_ours(service)
    if refusal is not None:
        lost = allocator.release(service.key) or bool(service.ingress)
        verdict = checks.failed("service", refusal.reason, refusal.detail)
        return Outcome(verdict, cleared=refusal if lost else None)
    checks.passed("service")
    try:
        families = families_of(service)
    except AllocationError as error:
        return _unchanged(service, allocator, checks, Reason.CLUSTER_IP_FAMILY, str(error))
    tenant = tenant_of(service, namespace_labels)
    cleared = _keep_or_clear(service, families, tenant, allocator)
    try:
        request = read_request(service, namespace_labels)
    except AllocationError as error:
        held = allocator.held(service.key)
        reason = Reason.INVALID_REQUEST if held else Reason.ALLOCATION_FAILED
        return _unchanged(service, allocator, checks, reason, str(error), cleared)
    held = allocator.held(service.key)
    if held is not None and _asks_for_an_unknown_pool(request, held, allocator):
        # MetalLB takes the address away, and then has none to give.
        detail = f'unknown pool "{request.pool}"'
        return _unchanged(service, allocator, checks, Reason.INVALID_REQUEST, detail, cleared)
    checks.passed("request")
    cleared = _clear_unwanted(service.key, request, allocator) or cleared
    return _finish(service.key, request, allocator, checks, cleared)


def _not_ours(service: Service) -> Cleared | None:
    if not service.is_load_balancer:
        return Cleared(Reason.NOT_LOAD_BALANCER, f"its type is {service.spec.type}")
    if not service.cluster_ips:
        return Cleared(Reason.NO_CLUSTER_IPS, "it has no cluster addresses")
    return None


def _unchanged(
    service: Service,
    allocator: Allocator,
    checks: Checks,
    reason: Reason,
    detail: str,
    cleared: Cleared | None = None,
) -> Outcome:
    held = allocator.held(service.key)
    verdict = checks.failed("request", reason, detail)
    if held is None:
        return Outcome(verdict, cleared=cleared)
    return Outcome(verdict, held.addresses, held.pool, cleared)


def _keep_or_clear(
    service: Service, families: tuple[Family, ...], tenant: Tenant, allocator: Allocator
) -> Cleared | None:
    """Bind what the service has, under its present terms; or say why it may not keep it.

    What it holds it may keep, whoever its pool is for by now. What only its status says is a
    claim like any other.
    """
    held = allocator.held(service.key)
    addresses = held.addresses if held else service.status_addresses
    if not addresses:
        return Cleared(Reason.LB_IP_FAMILY, "no valid address in it") if service.ingress else None
    ours = {Family.of(address) for address in addresses}
    if len(ours) != len(addresses) or not ours <= set(families):
        allocator.release(service.key)
        names = ",".join(family.value for family in families)
        return Cleared(Reason.LB_IP_FAMILY, f"{go_quote_list(addresses)} does not fit {names}")
    try:
        if held is None:
            _check_tenancy(addresses, tenant, allocator)
        allocator.assign(service.key, addresses, sharing_terms(service))
    except AllocationError as error:
        allocator.release(service.key)
        return Cleared(Reason.NOT_ALLOWED, str(error))
    return None


def _check_tenancy(addresses: tuple[IPAddress, ...], tenant: Tenant, allocator: Allocator) -> None:
    """Raise AllocationError if the addresses' pool is not for the service."""
    owner = allocator.owner_of(addresses)
    refusal = allocator.refusal(owner, tenant) if owner else ""
    if refusal:
        raise AllocationError(
            f'{go_quote_list(addresses)} is not allowed in config: pool "{owner}": {refusal}'
        )


def _asks_for_an_unknown_pool(request: Request, held: Holding, allocator: Allocator) -> bool:
    named = request.pool and not request.addresses and request.pool != configured_name(held.pool)
    return bool(named) and not allocator.offers(request.pool)


def _clear_unwanted(key: str, request: Request, allocator: Allocator) -> Cleared | None:
    """Release what a service holds, where it asks for something else now."""
    held = allocator.held(key)
    if held is None:
        return None
    unwanted: Cleared | None = None
    if request.addresses:
        if set(request.addresses) != set(held.addresses):
            wanted = go_quote_list(request.addresses)
            unwanted = Cleared(Reason.DIFFERENT_IP, f"it asks for {wanted}")
    elif request.pool and request.pool != configured_name(held.pool):
        unwanted = Cleared(Reason.DIFFERENT_POOL, f'it asks for pool "{request.pool}"')
    elif not request.fewer_families_do and len(held.addresses) < len(request.families):
        unwanted = Cleared(Reason.LB_IP_FAMILY, "it asks for both families")
    if unwanted is not None:
        allocator.release(key)
    return unwanted


def _finish(
    key: str, request: Request, allocator: Allocator, checks: Checks, cleared: Cleared | None
) -> Outcome:
    held = allocator.held(key)
    if held is not None:
        checks.passed("addresses", go_quote_list(held.addresses))
        return Outcome(checks.all_passed(), held.addresses, held.pool, cleared)
    try:
        held = _allocate(key, request, allocator)
    except AllocationError as error:
        for rejection in error.rejections if isinstance(error, NoAddressError) else ():
            checks.refused(f'pool "{rejection.pool}"', rejection.detail)
        verdict = checks.failed("addresses", Reason.ALLOCATION_FAILED, str(error))
        return Outcome(verdict, cleared=cleared)
    checks.passed("addresses", go_quote_list(held.addresses))
    return Outcome(checks.all_passed(), held.addresses, held.pool, cleared, allocated=True)


def _allocate(key: str, request: Request, allocator: Allocator) -> Holding:
    asked = [pool for pool in allocator.pools() if request.pool in ("", pool.name)]
    if any(pool.tenancy.is_undecided(request.tenant) for pool in asked):
        namespace = request.tenant.namespace
        raise AllocationError(f'the labels of namespace "{namespace}" are not known yet')
    if not request.addresses:
        return allocator.allocate(key, request)
    owner = allocator.owner_of(request.addresses)
    if request.pool and owner not in (request.pool, None):
        # MetalLB gives the address and takes it back at the next resync, for ever.
        raise AllocationError(
            f"requested loadBalancer IP(s) {go_quote_list(request.addresses)} are not in the "
            f'requested pool "{request.pool}"'
        )
    if owner is not None and allocator.is_draining(owner):
        raise AllocationError(
            f"{go_quote_list(request.addresses)} is not allowed in config: its pool was removed"
        )
    _check_tenancy(request.addresses, request.tenant, allocator)
    return allocator.assign(key, request.addresses, request.terms)
