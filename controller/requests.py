"""What a service asks for: families, given addresses, a pool, and with whom it may share."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from metallb_py.addresses import Family, IPAddress, family_of, go_quote_list, parse_address
from metallb_py.config.tenancy import ANYBODY, Tenant
from metallb_py.errors import AllocationError
from metallb_py.kube.objects import Labels, ObjectMeta, Service

# MetalLB 0.14.9 prefers the second prefix and honours the first still; so do we.
PREFIXES = ("metallb.io/", "metallb.universe.tf/")
MANY_FAMILIES = "PreferDualStack"


@dataclass(frozen=True, slots=True)
class SharingTerms:
    """On which terms a service shares an address (MetalLB's ``allow-shared-ip``).

    Two services may have one address if their keys are equal and ``key`` is not empty, and no
    (protocol, port) is in both.
    """

    key: str = ""
    backend_key: str = ""
    ports: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """A service's wishes.

    ``families`` are in the service's own order; ``fewer_families_do`` tells whether the first
    alone will do where both can't be had. ``addresses`` and ``pool`` are empty where the choice
    is left to us. ``tenant`` is who asks, for pools that are not for everybody.
    """

    families: tuple[Family, ...]
    fewer_families_do: bool = False
    addresses: tuple[IPAddress, ...] = ()
    pool: str = ""
    terms: SharingTerms = SharingTerms()
    tenant: Tenant = ANYBODY


def annotation(meta: ObjectMeta, name: str) -> str:
    """Return the value of one of MetalLB's annotations, under either prefix."""
    return next(filter(None, (meta.annotation(prefix + name) for prefix in PREFIXES)), "")


def sharing_terms(service: Service) -> SharingTerms:
    """Read on which terms a service shares its address."""
    spec = service.spec
    backend = ""
    if spec.external_traffic_policy == "Local":
        backend = ",".join(f"{k}={v}" for k, v in sorted((spec.selector or {}).items()))
    ports = frozenset((port.protocol, port.port) for port in spec.ports or ())
    return SharingTerms(annotation(service.metadata, "allow-shared-ip"), backend, ports)


def families_of(service: Service) -> tuple[Family, ...]:
    """Return the families of a service's cluster addresses, in their order.

    Raises AllocationError where there are none, or two of one family.
    """
    addresses = [ip_address(text) for text in service.cluster_ips]
    try:
        family_of(addresses)
    except ValueError as error:
        raise AllocationError(
            f"Failed to retrieve ClusterIPs IPFamily for {go_quote_list(addresses)}: {error}"
        ) from error
    return tuple(Family.of(address) for address in addresses)


def tenant_of(service: Service, namespace_labels: Labels | None = None) -> Tenant:
    """Return what pools may choose the service by; without namespace labels they are unknown."""
    meta = service.metadata
    return Tenant(meta.namespace, namespace_labels, meta.labels or {})


def read_request(service: Service, namespace_labels: Labels | None = None) -> Request:
    """Read what a service asks for.

    Raises AllocationError, in MetalLB's words, where it asks for what can't be.
    """
    families = families_of(service)
    addresses = _wanted_addresses(service)
    fewer = service.spec.ip_family_policy == MANY_FAMILIES
    if addresses:
        wanted = {Family.of(address) for address in addresses}
        fits = wanted <= set(families) if fewer else wanted == set(families)
        if not fits:
            raise AllocationError(
                f"requested loadBalancer IP(s) {go_quote_list(addresses)} does not match the "
                "ipFamily of the service"
            )
    pool = annotation(service.metadata, "address-pool")
    tenant = tenant_of(service, namespace_labels)
    return Request(families, fewer, addresses, pool, sharing_terms(service), tenant)


def _wanted_addresses(service: Service) -> tuple[IPAddress, ...]:
    annotated = annotation(service.metadata, "loadBalancerIPs")
    in_spec = service.spec.load_balancer_ip
    if annotated and in_spec:
        raise AllocationError(
            "service can not have both metallb.universe.tf/loadBalancerIPs and "
            "svc.Spec.LoadBalancerIP"
        )
    if in_spec:
        try:
            return (parse_address(in_spec),)
        except ValueError as error:
            raise AllocationError(f'invalid spec.loadBalancerIP "{in_spec}"') from error
    if not annotated:
        return ()
    try:
        addresses = tuple(parse_address(text.strip()) for text in annotated.split(","))
    except ValueError as error:
        raise AllocationError(
            f'invalid metallb.universe.tf/loadBalancerIPs: "{annotated}"'
        ) from error
    try:
        family_of(addresses)
    except ValueError as error:
        raise AllocationError(str(error)) from error
    return addresses
