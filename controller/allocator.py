"""Allocation state: the addresses that each service holds, and the pool of each.

Reserved pools are tried first, by priority, then the others in the order of the configuration
(MetalLB since 0.13.9); addresses are tried in ascending order. A pool's restrictions apply when an
address is allocated, not to a service that holds one. A change of the configuration keeps every
holding that the new pools contain; the caller ensures beforehand that they contain all of them
(``misfits``).

Queries change nothing. A mutator checks everything before it changes anything: if it raises, the
state is unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from controller.free_intervals import FreeList
from controller.pool_table import PoolTable
from controller.requests import ServiceRequest, SharingTerms
from controller.sharing import SharingConflict, clash, describe_conflict
from metallb_py.addresses import AddressFamily, IPAddress, IPNetwork, go_quote_list
from metallb_py.config.draining import configured_name, pool_name
from metallb_py.errors import AllocationError
from metallb_py.model.config import Pool, is_buggy
from metallb_py.model.pool_access import UNRESTRICTED, ServiceIdentity
from metallb_py.printable import and_more

MAX_LISTED = 5

_DUAL = "dual"
"""MetalLB's word for both families."""


@dataclass(frozen=True, slots=True)
class Holding:
    """The addresses that one service holds, of one pool."""

    addresses: tuple[IPAddress, ...]
    pool: str
    """Name of the pool; that of a draining pool differs from the configured one."""
    terms: SharingTerms
    """Terms in force for its addresses. The terms of services on one address never conflict."""
    wanted: SharingTerms | None = None
    """Requested terms, which come into force once the other services on the addresses request
    compatible ones. None if ``terms`` are the requested ones."""


Move = tuple[tuple[IPAddress, ...], SharingTerms]
"""New addresses of a service, and its sharing terms for them."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Fill level of a pool, for one address family."""

    total: int = 0
    """Number of addresses that the pool can allocate."""
    in_use: int = 0
    """Number of those that are held; a shared address counts once."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Reason why a pool has no address for a service. ``detail`` is empty if it has one."""

    pool: str
    detail: str


class NoAddressError(AllocationError):
    """No pool has an address for a service. No state was changed.

    ``rejections`` has the reason for each pool that was tried.
    """

    def __init__(self, message: str, rejections: tuple[Rejection, ...]) -> None:
        super().__init__(message)
        self.rejections = rejections


class _Prefix:
    """One prefix of a pool with its free addresses."""

    __slots__ = ("avoid_buggy", "cidr", "family", "free", "kind")

    def __init__(self, cidr: IPNetwork, *, avoid_buggy: bool) -> None:
        self.cidr = cidr
        self.kind = type(cidr.network_address)
        self.family = AddressFamily.of(cidr.network_address)
        self.avoid_buggy = avoid_buggy
        self.free = FreeList(int(cidr.network_address), int(cidr.broadcast_address))

    def may_allocate(self, address: IPAddress) -> bool:
        return address in self.cidr and not (self.avoid_buggy and is_buggy(address))

    def lowest_free(self) -> IPAddress | None:
        while (number := self.free.lowest()) is not None:
            address = self.kind(number)
            if not (self.avoid_buggy and is_buggy(address)):
                return address
            self.free.take(number)  # never allocated, so never given back
        return None

    def size(self) -> int:
        if not self.avoid_buggy or self.family is not AddressFamily.IPV4:
            return self.cidr.num_addresses
        if self.cidr.prefixlen <= 24:
            return self.cidr.num_addresses - 2 * (self.cidr.num_addresses // 256)
        return self.cidr.num_addresses - sum(
            is_buggy(edge) for edge in {self.cidr[0], self.cidr[-1]}
        )


class Allocator:
    """Allocates (chooses) and assigns (binds given) addresses."""

    def __init__(self) -> None:
        self._pools: dict[str, tuple[Pool, tuple[_Prefix, ...]]] = {}
        self._table = PoolTable(())
        self._prefixes: tuple[_Prefix, ...] = ()  # one for each of the table's blocks
        self._by_priority: tuple[Pool, ...] = ()
        self._holdings: dict[str, Holding] = {}
        self._users: dict[IPAddress, dict[str, SharingTerms]] = {}
        # By sharing key: the number of services that hold each address.
        self._shared: dict[str, Counter[IPAddress]] = {}

    # Mutators

    def set_pools(self, pools: Iterable[Pool]) -> None:
        """Replace the pools. Raises KeyError if no pool contains some holding's addresses."""
        table = PoolTable(pools)
        owners = {}
        for key, held in self._holdings.items():
            owner = table.owner(held.addresses)
            if owner is None:
                raise KeyError(f"{key}: no pool has {go_quote_list(held.addresses)}")
            owners[key] = owner.name
        self._table = table
        self._pools = {
            pool.name: (
                pool,
                tuple(_Prefix(cidr, avoid_buggy=pool.avoid_buggy_ips) for cidr in pool.cidrs),
            )
            for pool in table.pools
        }
        self._prefixes = tuple(each for _, members in self._pools.values() for each in members)
        self._by_priority = tuple(sorted(table.pools, key=_rank))
        holdings, self._holdings, self._users, self._shared = self._holdings, {}, {}, {}
        for key, held in holdings.items():
            self._bind(key, Holding(held.addresses, owners[key], held.terms, held.wanted))

    def release(self, key: str) -> bool:
        """Free the addresses of a service. Return whether it held any."""
        held = self._holdings.get(key)
        if held is None:
            return False
        prefixes = {address: self._prefix_of(address) for address in held.addresses}
        del self._holdings[key]
        for address, prefix in prefixes.items():
            self._count_shared(address, held.terms, -1)
            users = self._users[address]
            del users[key]
            if not users:
                del self._users[address]
                prefix.free.give_back(int(address))
        return True

    def assign(
        self,
        key: str,
        addresses: tuple[IPAddress, ...],
        terms: SharingTerms,
        wanted: SharingTerms | None = None,
    ) -> Holding:
        """Bind given addresses to a service, in place of those that it holds.

        If this completes the agreement that other services on these addresses waited for, their
        ``wanted`` terms come into force. Raises AllocationError, in MetalLB's words, if the
        service may not have the addresses.
        """
        owner = self.owner_of(addresses)
        if owner is None:
            raise AllocationError(self._not_allowed(addresses))
        conflict = self.sharing_conflict(key, addresses, terms)
        if conflict is not None:
            raise AllocationError(conflict.detail)
        for other, agreed in (self._agreement(key, addresses, terms) or {}).items():
            self._rebind(other, agreed)
        self.release(key)
        return self._bind(key, Holding(addresses, owner, terms, wanted))

    def exchange(self, moves: Mapping[str, Move]) -> None:
        """Bind addresses to several services at once. Raises AllocationError: see ``may_move``."""
        owners = {key: self.owner_of(addresses) for key, (addresses, _) in moves.items()}
        if not self.may_move(moves):
            raise AllocationError("these services can't exchange their addresses")
        for key in moves:
            self.release(key)
        for key, (addresses, terms) in moves.items():
            self._bind(key, Holding(addresses, owners[key] or "", terms))

    # Queries

    def choose(self, request: ServiceRequest, key: str = "") -> tuple[str, tuple[IPAddress, ...]]:
        """Return a pool and addresses of it, for a service that requests no specific ones.

        Addresses that only the service ``key`` holds count as free.
        Raises AllocationError, in MetalLB's words, if no addresses are available: NoAddressError
        if pools were tried.
        """
        if request.pool and not self.offers(request.pool):
            raise AllocationError(f'unknown pool "{request.pool}"')
        candidates = self._candidates(request)
        if any(pool.tenancy.is_undecided(request.tenant) for pool in candidates):
            raise AllocationError(_undecided(request.tenant))
        for families in _family_choices(request):
            for pool in candidates:
                if not _refusal(pool, request):
                    addresses = self._find(pool.name, families, request.terms, key)
                    if addresses:
                        return pool.name, addresses
        raise self._no_address(request)

    def complement(
        self, addresses: tuple[IPAddress, ...], request: ServiceRequest
    ) -> tuple[IPAddress, ...]:
        """Return addresses of the missing families, from the pool that owns ``addresses``.

        Raises AllocationError if it has none available.
        """
        name = self.owner_of(addresses)
        if name is None:
            raise AllocationError(self._not_allowed(addresses))
        pool = self._pools[name][0]
        if pool.tenancy.is_undecided(request.tenant):
            raise AllocationError(_undecided(request.tenant))
        present = set(map(AddressFamily.of, addresses))
        missing = tuple(family for family in request.families if family not in present)
        rejection = _refusal(pool, request)
        found = () if rejection else self._find(name, missing, request.terms)
        if not found:
            rejection = rejection or self._missing(name, missing, request.terms)
            raise NoAddressError(
                f'no available IPs in pool "{configured_name(name)}" for '
                f"{_DUAL} IPFamily: {rejection}",
                (Rejection(name, rejection),),
            )
        return found

    def denial(self, key: str, addresses: tuple[IPAddress, ...], request: ServiceRequest) -> str:
        """Return why a service can't have the requested addresses; empty if it can."""
        refusal = self.placement_denial(addresses, request)
        if refusal:
            return refusal
        conflict = self.sharing_conflict(key, addresses, request.terms)
        return conflict.detail if conflict else ""

    def ownership_denial(self, addresses: tuple[IPAddress, ...]) -> str:
        """Return why no single pool may allocate all these addresses; empty if one may."""
        return "" if self.owner_of(addresses) else self._not_allowed(addresses)

    def placement_denial(self, addresses: tuple[IPAddress, ...], request: ServiceRequest) -> str:
        """Return why pools deny a service these addresses, in use or not; empty if they don't."""
        owner = self.owner_of(addresses)
        if owner is None:
            return self._not_allowed(addresses)
        pool = self._pools[owner][0]
        if pool.tenancy.is_undecided(request.tenant):
            return _undecided(request.tenant)
        quoted = go_quote_list(addresses)
        if request.pool and request.pool != configured_name(owner):
            return (
                f"requested loadBalancer IP(s) {quoted} are not in the requested pool "
                f'"{request.pool}": they are in pool "{configured_name(owner)}"'
            )
        if pool.draining:
            name = configured_name(owner)
            return (
                f"{quoted} is not allowed in config: its pool was removed: "
                f'pool "{name}" drains and gives out nothing new'
            )
        return self.tenancy_denial(addresses, request.tenant)

    def tenancy_denial(self, addresses: tuple[IPAddress, ...], tenant: ServiceIdentity) -> str:
        """Return why the addresses' pool is closed to a service; empty if it is open."""
        owner = self.owner_of(addresses)
        refusal = self.refusal(owner, tenant) if owner else ""
        if not refusal:
            return ""
        return f'{go_quote_list(addresses)} is not allowed in config: pool "{owner}": {refusal}'

    def sharing_conflict(
        self, key: str, addresses: Iterable[IPAddress], terms: SharingTerms
    ) -> SharingConflict | None:
        """Return why a service can't have addresses on these terms; None if it can."""
        wanted = tuple(addresses)
        for address in wanted:
            others = self._others(key, address)
            clashes = any(clash(terms, other) for other in others.values())
            if clashes and self._agreement(key, wanted, terms) is None:
                return describe_conflict(key, address, terms, others)
        return None

    def conflicting_services(
        self, key: str, addresses: Iterable[IPAddress], terms: SharingTerms
    ) -> tuple[str, ...]:
        """Return the services whose terms on these addresses conflict with this one's."""
        others = {k: t for address in addresses for k, t in self._others(key, address).items()}
        return tuple(other for other, theirs in others.items() if clash(terms, theirs))

    def terms_of_others(self, key: str, addresses: Iterable[IPAddress]) -> SharingTerms | None:
        """Return the terms of another service on these addresses; None if there is no other."""
        found = (t for address in addresses for t in self._others(key, address).values())
        return next(found, None)

    def may_move(self, moves: Mapping[str, Move]) -> bool:
        """Whether all services may move at once, each leaving the addresses that it holds now."""
        users: dict[IPAddress, list[SharingTerms]] = {}
        for addresses, terms in moves.values():
            if self.owner_of(addresses) is None:
                return False
            for address in addresses:
                users.setdefault(address, []).append(terms)
        for address, new in users.items():
            stay = [t for k, t in self._users.get(address, {}).items() if k not in moves]
            if any(clash(a, b) for a, b in combinations(new, 2)):
                return False
            if any(clash(a, b) for a in new for b in stay):
                return False
        return True

    def misfits(self, pools: Iterable[Pool]) -> list[tuple[str, Holding]]:
        """Return the holdings that none of these pools could own, by service key."""
        table = PoolTable(pools)
        return [
            (key, held)
            for key, held in sorted(self._holdings.items())
            if table.owner(held.addresses) is None
        ]

    def held(self, key: str) -> Holding | None:
        """Return the holding of a service; None if it holds no addresses."""
        return self._holdings.get(key)

    def survey(self, request: ServiceRequest) -> tuple[Rejection, ...]:
        """Return for each pool why it has no address for a request; empty detail if it has one."""
        return tuple(
            Rejection(pool.name, self._shortage(pool, request)) for pool in self._by_priority
        )

    def _candidates(self, request: ServiceRequest) -> tuple[Pool, ...]:
        """Return the requested pool, or all pools if the service requests none."""
        if not request.pool:
            return self._by_priority
        return (self._pools[pool_name(request.pool)][0],)

    def _no_address(self, request: ServiceRequest) -> NoAddressError:
        rejections = tuple(
            Rejection(pool.name, self._shortage(pool, request))
            for pool in self._candidates(request)
        )
        message = "no available IPs"
        if request.pool:
            wanted = request.families[0].label if len(request.families) == 1 else _DUAL
            message += f' in pool "{request.pool}" for {wanted} IPFamily'
        return NoAddressError(f"{message}: {_first_rejections(rejections)}", rejections)

    def _shortage(self, pool: Pool, request: ServiceRequest) -> str:
        refusal = _refusal(pool, request)
        return refusal or self._missing(pool.name, request.families, request.terms)

    def _missing(self, pool: str, families: tuple[AddressFamily, ...], terms: SharingTerms) -> str:
        missing = []
        for family in families:
            if all(prefix.family is not family for prefix in self._pools[pool][1]):
                missing.append(f"no {family.label} addresses in it")
            elif self._find_one(pool, family, terms) is None:
                missing.append(f"no {family.label} address free")
        return ", ".join(missing)

    def owner_of(self, addresses: Iterable[IPAddress]) -> str | None:
        """Return the name of the first pool that may allocate all these addresses."""
        owner = self._table.owner(addresses)
        return owner.name if owner else None

    def pools(self) -> tuple[Pool, ...]:
        """Return the pools in the order in which addresses are allocated from them."""
        return self._by_priority

    def refusal(self, pool: str, tenant: ServiceIdentity) -> str:
        """Return why a pool is closed to a service; empty if it is open."""
        return self._pools[pool][0].tenancy.refusal(tenant)

    def offers(self, pool: str) -> bool:
        """Whether addresses can be allocated from the pool of this name.

        The name is the configured one.
        """
        found = self._pools.get(pool_name(pool))
        return found is not None and not found[0].draining

    def holdings(self) -> Iterable[Holding]:
        """Return all holdings."""
        return self._holdings.values()

    def usage(self) -> dict[str, dict[AddressFamily, Usage]]:
        """Return each pool's usage, by family. A shared address counts once."""
        # Counted by address, not by holding: a dual-stack holding of a draining pool may have an
        # address that is in a configured pool too.
        counts = Counter((self.owner_of((each,)), AddressFamily.of(each)) for each in self._users)
        return {
            name: {
                family: Usage(
                    sum(prefix.size() for prefix in prefixes if prefix.family is family),
                    counts[name, family],
                )
                for family in AddressFamily
            }
            for name, (_, prefixes) in self._pools.items()
        }

    def _find(
        self, pool: str, families: tuple[AddressFamily, ...], terms: SharingTerms, key: str = ""
    ) -> tuple[IPAddress, ...]:
        found = [self._find_one(pool, family, terms, key) for family in families]
        return tuple(address for address in found if address) if all(found) else ()

    def _find_one(
        self, pool: str, family: AddressFamily, terms: SharingTerms, key: str = ""
    ) -> IPAddress | None:
        held = self._holdings.get(key)
        own = [a for a in held.addresses if not self._others(key, a)] if held else []
        for prefix in self._pools[pool][1]:
            if prefix.family is not family:
                continue
            choices = [prefix.lowest_free(), self._lowest_shareable(prefix, terms)]
            choices += [address for address in own if prefix.may_allocate(address)]
            found = [address for address in choices if address is not None]
            if found:
                return min(found, key=int)
        return None

    def _lowest_shareable(self, prefix: _Prefix, terms: SharingTerms) -> IPAddress | None:
        shareable = (
            address
            for address in self._shared.get(terms.key, ())
            if prefix.may_allocate(address)
            and not any(clash(terms, other) for other in self._users[address].values())
        )
        return min(shareable, key=int, default=None)

    def _others(self, key: str, address: IPAddress) -> Mapping[str, SharingTerms]:
        users = self._users.get(address)
        return {k: t for k, t in users.items() if k != key} if users else {}

    def _agreement(
        self, key: str, addresses: Iterable[IPAddress], terms: SharingTerms
    ) -> Mapping[str, SharingTerms] | None:
        """Return the wanted terms of the others if all could share on them; None if they can't."""
        ours = set(addresses)
        waiting = {
            other: wanted
            for address in ours
            for other in self._others(key, address)
            if (wanted := self._holdings[other].wanted)
        }
        if not waiting:
            return None
        for address in ours.union(*(self._holdings[other].addresses for other in waiting)):
            users = [waiting.get(k, t) for k, t in self._others(key, address).items()]
            if address in ours:
                users.append(terms)
            if any(clash(a, b) for a, b in combinations(users, 2)):
                return None
        return waiting

    def _count_shared(self, address: IPAddress, terms: SharingTerms, change: int) -> None:
        if not terms.key:
            return
        counts = self._shared.setdefault(terms.key, Counter())
        counts[address] += change
        if not counts[address]:
            del counts[address]
        if not counts:
            del self._shared[terms.key]

    def _not_allowed(self, addresses: tuple[IPAddress, ...]) -> str:
        """Return, in MetalLB's words and then in ours, why no pool owns these addresses."""
        owners = {address: self.owner_of((address,)) for address in addresses}
        strays = [address for address, owner in owners.items() if owner is None]
        if strays:
            why = "; ".join(self._why_unowned(address) for address in strays)
        else:
            where = (f'{address} is in pool "{owner}"' for address, owner in owners.items())
            why = f"{', '.join(where)}: want all of them in one pool"
        return f"{go_quote_list(addresses)} is not allowed in config: {why}"

    def _why_unowned(self, address: IPAddress) -> str:
        pool = self._table.container(address)
        if pool is not None:
            return f'pool "{pool.name}" does not give out {address}: avoid-buggy-ips is set'
        names = ", ".join(f'"{pool.name}"' for pool in self._by_priority[:MAX_LISTED])
        listed = " ".join([names, *and_more(len(self._by_priority) - MAX_LISTED)])
        return f"{address} is in no pool: " + (
            f"the pools are {listed}" if names else "no pool is configured"
        )

    def _bind(self, key: str, held: Holding) -> Holding:
        prefixes = {address: self._prefix_of(address) for address in held.addresses}
        for address, prefix in prefixes.items():
            users = self._users.setdefault(address, {})
            if not users:
                prefix.free.take(int(address))
            users[key] = held.terms
            self._count_shared(address, held.terms, 1)
        self._holdings[key] = held
        return held

    def _rebind(self, key: str, terms: SharingTerms) -> None:
        """Replace the sharing terms of a service's holding."""
        held = self._holdings[key]
        for address in held.addresses:
            self._count_shared(address, held.terms, -1)
            self._users[address][key] = terms
            self._count_shared(address, terms, 1)
        self._holdings[key] = Holding(held.addresses, held.pool, terms)

    def _prefix_of(self, address: IPAddress) -> _Prefix:
        number = self._table.block_of(address)
        if number is None:
            raise KeyError(address)
        return self._prefixes[number]


def _undecided(tenant: ServiceIdentity) -> str:
    return f'the labels of namespace "{tenant.namespace}" are not known yet'


def _rank(pool: Pool) -> tuple[bool, bool, int]:
    """Return a sort key for MetalLB's order since 0.13.9: reserved pools first, by priority.

    MetalLB counts a pool with any ``serviceAllocation`` as reserved, and priority 0 as unset.
    """
    reserved = pool.tenancy != UNRESTRICTED or pool.priority is not None
    return (not reserved, not pool.priority, pool.priority or 0)


def _refusal(pool: Pool, request: ServiceRequest) -> str:
    """Return why a pool can't serve a request, however many addresses are free in it."""
    if pool.draining:
        return "it was removed from the configuration"
    if not pool.auto_assign and not request.pool:
        return "auto-assign is off: it must be asked for by name"
    if request.pool and pool_name(request.pool) != pool.name:
        return "another pool is asked for"
    return pool.tenancy.refusal(request.tenant)


def _first_rejections(rejections: tuple[Rejection, ...]) -> str:
    """Return the first rejections as text; ``metallb-py explain`` lists all of them."""
    if not rejections:
        return "no pool is configured"
    listed = [f'pool "{each.pool}": {each.detail}' for each in rejections[:MAX_LISTED]]
    return "; ".join([*listed, *and_more(len(rejections) - MAX_LISTED, "pools")])


def _family_choices(request: ServiceRequest) -> Iterable[tuple[AddressFamily, ...]]:
    """Yield the acceptable sets of families, in order of preference."""
    yield request.families
    if request.prefers_dual_stack and len(request.families) > 1:
        yield from ((family,) for family in request.families)
