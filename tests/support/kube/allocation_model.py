"""Reference model of address allocation: an exhaustive search over every address of every pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from controller.requests import ServiceRequest, SharingTerms
from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.model.config import Pool
from metallb_py.model.pool_access import ServiceIdentity
from metallb_py.model.selectors import LabelSelector

Addresses = tuple[IPAddress, ...]


def may_share(one: SharingTerms, other: SharingTerms) -> bool:
    return (
        one.key != ""
        and one.key == other.key
        and one.backend_key == other.backend_key
        and not one.ports & other.ports
    )


def admits(pool: Pool, tenant: ServiceIdentity) -> bool:
    """Whether a pool is open to a service. In these tests each selector names one label."""

    def selected(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
        wanted = [next(iter(selector.requirements)) for selector in selectors]
        return any(labels.get(item.key) in item.values for item in wanted)

    rule = pool.tenancy
    everywhere = not rule.namespaces and not rule.namespace_selectors
    here = tenant.namespace in rule.namespaces
    here = here or selected(rule.namespace_selectors, tenant.namespace_labels or {})
    ours = not rule.service_selectors or selected(rule.service_selectors, tenant.labels)
    return ours and (everywhere or here)


def is_reserved(pool: Pool) -> bool:
    rule = pool.tenancy
    return bool(rule.namespaces or rule.namespace_selectors or rule.service_selectors)


def allocatable_addresses(pool: Pool) -> Iterator[IPAddress]:
    """Yield every address that a pool allocates, in allocation order."""
    for cidr in pool.cidrs:
        for address in cidr:
            buggy = address.version == 4 and address.packed[-1] in (0, 255)
            if not (pool.avoid_buggy_ips and buggy):
                yield address


@dataclass
class Model:
    """Pools, and the addresses that each service holds with its sharing terms."""

    pools: tuple[Pool, ...] = ()
    held: dict[str, tuple[Addresses, SharingTerms]] = field(default_factory=dict)

    def users(self, address: IPAddress, but: str = "") -> Mapping[str, SharingTerms]:
        return {k: terms for k, (had, terms) in self.held.items() if address in had and k != but}

    def may_have(self, key: str, address: IPAddress, terms: SharingTerms) -> bool:
        return all(may_share(terms, other) for other in self.users(address, key).values())

    def owner(self, addresses: Addresses) -> str | None:
        for pool in self.pools:
            if set(addresses) <= set(allocatable_addresses(pool)):
                return pool.name
        return None

    def choice(self, key: str, request: ServiceRequest) -> Addresses:
        """Return the addresses to allocate to a service that has and requests none."""
        if request.pool:
            pools = [p for p in self.pools if p.name == request.pool and not p.draining]
        else:
            pools = [p for p in self.pools if p.auto_assign]
        pools = [p for p in pools if admits(p, request.tenant)]
        # Reserved pools first: those with a priority but 0, then those without; each as configured.
        numbers = sorted({p.priority for p in pools if p.priority})
        ranked = [p for number in numbers for p in pools if p.priority == number]
        ranked += [p for p in pools if not p.priority and (p.priority == 0 or is_reserved(p))]
        pools = ranked + [p for p in pools if p not in ranked]
        family_sets = [request.families]
        if request.prefers_dual_stack:
            family_sets += [(family,) for family in request.families]
        for families in family_sets:
            for pool in pools:
                found = [self._lowest(pool, key, family, request.terms) for family in families]
                addresses = tuple(address for address in found if address is not None)
                if len(addresses) == len(families):
                    return addresses
        return ()

    def can_allocate(self, key: str, request: ServiceRequest) -> bool:
        """Whether an allocation exists for a service that has no address."""
        if not request.addresses:
            return bool(self.choice(key, request))
        owner = self.owner(request.addresses)
        return (
            owner in {p.name for p in self.pools if not p.draining and admits(p, request.tenant)}
            and request.pool in ("", owner)
            and all(self.may_have(key, address, request.terms) for address in request.addresses)
        )

    def usage(self) -> dict[tuple[str, AddressFamily], tuple[int, int]]:
        """Return the number of addresses, and of those in use, by pool and family."""
        held = {a for had, _ in self.held.values() for a in had}
        owners = [(self.owner((a,)), AddressFamily.of(a)) for a in held]
        return {
            (p.name, f): (
                sum(AddressFamily.of(a) is f for a in allocatable_addresses(p)),
                owners.count((p.name, f)),
            )
            for p in self.pools
            for f in (AddressFamily.IPV4, AddressFamily.IPV6)
        }

    def assert_legal(self) -> None:
        for key, (addresses, terms) in self.held.items():
            for address in addresses:
                assert self.may_have(key, address, terms), f"{address}: {self.users(address)}"

    def _lowest(
        self, pool: Pool, key: str, family: AddressFamily, terms: SharingTerms
    ) -> IPAddress | None:
        for address in allocatable_addresses(pool):
            if AddressFamily.of(address) is family and self.may_have(key, address, terms):
                return address
        return None
