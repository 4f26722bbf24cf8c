"""Parser for the request of a Service: address families, sharing terms, addresses and pool.

Tenants write all of it, so no input raises: ``parse`` returns a ServiceRequest, or an
InvalidRequest that begins with MetalLB's message, then states where, what was found and what was
wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from metallb_py.addresses import (
    AddressFamily,
    IPAddress,
    families_of,
    go_quote_list,
    parse_address,
)
from metallb_py.kube.annotation_names import LATER_PREFIX, PREFIX
from metallb_py.kube.objects import Labels, ObjectMeta, Service
from metallb_py.model.pool_access import UNSCOPED, ServiceIdentity

PREFER_DUAL_STACK = "PreferDualStack"
MAX_QUOTED = 100


@dataclass(frozen=True, slots=True)
class SharingTerms:
    """Terms on which a service shares an address (MetalLB's ``allow-shared-ip``).

    Two services may have one address if their keys are equal and ``key`` is not empty, their
    backend keys are equal, and no (protocol, port) is in both.
    """

    key: str = ""
    """The annotation's value; empty: the address is not shared."""
    backend_key: str = ""
    """The selector as text with ``externalTrafficPolicy: Local``, otherwise empty."""
    ports: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """Valid request of a service."""

    families: tuple[AddressFamily, ...]
    """Families of its cluster addresses, in the service's own order."""
    prefers_dual_stack: bool = False
    """``PreferDualStack``: one address is enough while both families are not available."""
    addresses: tuple[IPAddress, ...] = ()
    """Requested addresses; empty if the controller chooses."""
    pool: str = ""
    """Requested pool; empty for any."""
    terms: SharingTerms = SharingTerms()
    tenant: ServiceIdentity = field(default=UNSCOPED)
    """Namespace and labels, which pools select services by."""


class Fault(StrEnum):
    """The invalid part of a service."""

    CLUSTER_ADDRESSES = "cluster addresses"
    REQUESTED_ADDRESSES = "requested addresses"


@dataclass(frozen=True, slots=True)
class InvalidRequest:
    """Invalid request of a service. ``terms`` still apply to the addresses that it holds."""

    fault: Fault
    detail: str
    terms: SharingTerms = SharingTerms()
    tenant: ServiceIdentity = field(default=UNSCOPED)


def annotation(meta: ObjectMeta, name: str) -> str:
    """Return the value of one of MetalLB's annotations, under either prefix."""
    return meta.annotation(f"{LATER_PREFIX}/{name}") or meta.annotation(f"{PREFIX}/{name}")


def parse(
    service: Service, namespace_labels: Labels | None = None
) -> ServiceRequest | InvalidRequest:
    """Parse a service's request. ``namespace_labels`` are None while they are unknown."""
    terms = sharing_terms(service)
    tenant = tenant_of(service, namespace_labels)
    families = _families(service)
    if isinstance(families, str):
        return InvalidRequest(Fault.CLUSTER_ADDRESSES, families, terms, tenant)
    fewer = service.spec.ip_family_policy == PREFER_DUAL_STACK
    addresses = _requested_addresses(service)
    problem = addresses if isinstance(addresses, str) else _misfit(addresses, families, fewer)
    if isinstance(addresses, str) or problem:
        return InvalidRequest(Fault.REQUESTED_ADDRESSES, problem, terms, tenant)
    pool = annotation(service.metadata, "address-pool")
    return ServiceRequest(families, fewer, addresses, pool, terms, tenant)


def sharing_terms(service: Service) -> SharingTerms:
    """Return the terms on which a service shares its addresses."""
    spec = service.spec
    backend = ""
    if spec.external_traffic_policy == "Local":
        backend = ",".join(f"{k}={v}" for k, v in sorted((spec.selector or {}).items()))
    ports = frozenset((port.protocol, port.port) for port in spec.ports or ())
    return SharingTerms(annotation(service.metadata, "allow-shared-ip"), backend, ports)


def tenant_of(service: Service, namespace_labels: Labels | None = None) -> ServiceIdentity:
    """Return what pools select a service by. ``namespace_labels`` are None while unknown."""
    meta = service.metadata
    return ServiceIdentity(meta.namespace, namespace_labels, meta.labels or {})


def _families(service: Service) -> tuple[AddressFamily, ...] | str:
    """Return the families of a service's cluster addresses, or an error message."""
    addresses = []
    for text in service.cluster_ips:
        try:
            addresses.append(parse_address(text))
        except ValueError as error:
            return _cluster_problem(service.cluster_ips, _shortened(str(error)))
    try:
        return families_of(addresses)
    except ValueError as error:
        return _cluster_problem(service.cluster_ips, _shortened(str(error)))


def _cluster_problem(texts: Iterable[str], problem: str) -> str:
    quoted = " ".join(f'"{_shortened(text)}"' for text in texts)
    return f"Failed to retrieve ClusterIPs IPFamily for [{_shortened(quoted)}]: {problem}"


def _requested_addresses(service: Service) -> tuple[IPAddress, ...] | str:
    """Return the addresses that a service requests, or an error message.

    Blanks and empty entries around commas are skipped. The annotation and the field may both be
    set if they agree.
    """
    annotated_text = annotation(service.metadata, "loadBalancerIPs")
    field_text = service.spec.load_balancer_ip
    in_field = _read_list(field_text)
    annotated = _read_list(annotated_text)
    if isinstance(in_field, str) or len(in_field) > 1:
        problem = in_field if isinstance(in_field, str) else "want one address"
        return f'invalid spec.loadBalancerIP "{_shortened(field_text)}": {problem}'
    if isinstance(annotated, str):
        text = _shortened(annotated_text)
        return f'invalid metallb.universe.tf/loadBalancerIPs: "{text}": {annotated}'
    if annotated and not set(in_field) <= set(annotated):
        return (
            "service can not have both metallb.universe.tf/loadBalancerIPs and "
            f"svc.Spec.LoadBalancerIP: the annotation has {_quoted(annotated)}, the field "
            f"{_quoted(in_field)}: want one of them, or equal ones"
        )
    addresses = annotated or in_field
    if not addresses:
        return ()
    try:
        families_of(addresses)
    except ValueError as error:
        return f"{_shortened(str(error))}: want one address, or one IPv4 and one IPv6 address"
    return addresses


def _read_list(text: str) -> tuple[IPAddress, ...] | str:
    """Return comma-separated addresses without duplicates, or an error message."""
    if not text:
        return ()
    entries = [entry for part in text.split(",") if (entry := part.strip())]
    if not entries:
        return "want an IPv4 or IPv6 address"
    try:
        return tuple(dict.fromkeys(parse_address(entry) for entry in entries))
    except ValueError as error:
        return _shortened(str(error))


def _misfit(
    addresses: tuple[IPAddress, ...], families: tuple[AddressFamily, ...], prefers_dual: bool
) -> str:
    """Return why requested addresses do not match the service's families; empty if they do."""
    if not addresses:
        return ""
    asked = {AddressFamily.of(address) for address in addresses}
    ours = set(families)
    if asked == ours or (prefers_dual and asked <= ours):
        return ""
    wanted = "one of each" if len(ours) > 1 else f"one {families[0].label} address"
    if asked < ours:
        wanted += ", or ipFamilyPolicy PreferDualStack"
    return (
        f"requested loadBalancer IP(s) {go_quote_list(addresses)} does not match the "
        f"ipFamily of the service: {_names(map(AddressFamily.of, addresses))} requested, "
        f"spec.clusterIPs has {_names(families)}: want {wanted}"
    )


def _names(families: Iterable[AddressFamily]) -> str:
    return " and ".join(family.label for family in families)


def _quoted(addresses: tuple[IPAddress, ...]) -> str:
    return _shortened(go_quote_list(addresses))


def _shortened(text: str) -> str:
    """Truncate a tenant's text, so that a message stays short."""
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."
