"""Who may have which addresses, told by brute force: every address of every pool is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from controller.requests import Request, SharingTerms
from metallb_py.addresses import Family, IPAddress
from metallb_py.config.model import Pool

Addresses = tuple[IPAddress, ...]


def may_share(one: SharingTerms, other: SharingTerms) -> bool:
    return (
        one.key != ""
        and one.key == other.key
        and one.backend_key == other.backend_key
        and not one.ports & other.ports
    )


def given_out_by(pool: Pool) -> Iterator[IPAddress]:
    """Every address that a pool gives out, in the order in which it does."""
    for cidr in pool.cidrs:
        for address in cidr:
            buggy = address.version == 4 and address.packed[-1] in (0, 255)
            if not (pool.avoid_buggy_ips and buggy):
                yield address


@dataclass
class Model:
    """Pools, and what each service holds on which terms."""

    pools: tuple[Pool, ...] = ()
    held: dict[str, tuple[Addresses, SharingTerms]] = field(default_factory=dict)

    def users(self, address: IPAddress, but: str = "") -> Mapping[str, SharingTerms]:
        return {k: terms for k, (had, terms) in self.held.items() if address in had and k != but}

    def may_have(self, key: str, address: IPAddress, terms: SharingTerms) -> bool:
        return all(may_share(terms, other) for other in self.users(address, key).values())

    def owner(self, addresses: Addresses) -> str | None:
        for pool in self.pools:
            if set(addresses) <= set(given_out_by(pool)):
                return pool.name
        return None

    def choice(self, key: str, request: Request) -> Addresses:
        """What a service that holds nothing and names no address is to get."""
        if request.pool:
            pools = [p for p in self.pools if p.name == request.pool and not p.draining]
        else:
            pools = [p for p in self.pools if p.auto_assign]
        wishes = [request.families]
        if request.fewer_families_do:
            wishes += [(family,) for family in request.families]
        for families in wishes:
            for pool in pools:
                found = [self._lowest(pool, key, family, request.terms) for family in families]
                addresses = tuple(address for address in found if address is not None)
                if len(addresses) == len(families):
                    return addresses
        return ()

    def can_be_served(self, key: str, request: Request) -> bool:
        """Whether there is something that a service that holds nothing may have."""
        if not request.addresses:
            return bool(self.choice(key, request))
        owner = self.owner(request.addresses)
        return (
            owner in {pool.name for pool in self.pools if not pool.draining}
            and request.pool in ("", owner)
            and all(self.may_have(key, address, request.terms) for address in request.addresses)
        )

    def usage(self) -> dict[str, tuple[int, int]]:
        """How many addresses each pool has, and how many of them are held."""
        owners = [self.owner((a,)) for a in {a for had, _ in self.held.values() for a in had}]
        return {p.name: (len(list(given_out_by(p))), owners.count(p.name)) for p in self.pools}

    def assert_legal(self) -> None:
        for key, (addresses, terms) in self.held.items():
            for address in addresses:
                assert self.may_have(key, address, terms), f"{address}: {self.users(address)}"

    def _lowest(
        self, pool: Pool, key: str, family: Family, terms: SharingTerms
    ) -> IPAddress | None:
        for address in given_out_by(pool):
            if Family.of(address) is family and self.may_have(key, address, terms):
                return address
        return None
