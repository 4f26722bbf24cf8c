"""Which service holds which addresses of which pool: the controller's memory.

Pools are used in the order of their priority, then of the configuration, addresses in ascending
order. Whom a pool is for matters when an address is chosen, not to who holds one. A change of the
configuration keeps every holding that the new pools contain; the caller sees to it beforehand
that they contain all of them (``misfits``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from controller.freelist import FreeList
from controller.requests import Request, SharingTerms
from metallb_py.addresses import Family, IPAddress, IPNetwork, go_quote_list
from metallb_py.config.model import Pool, is_buggy
from metallb_py.config.tenancy import Tenant
from metallb_py.errors import AllocationError

MAX_TOLD = 5


@dataclass(frozen=True, slots=True)
class Holding:
    """What one service holds."""

    addresses: tuple[IPAddress, ...]
    pool: str
    terms: SharingTerms


@dataclass(frozen=True, slots=True)
class Usage:
    """How many addresses of one family a pool can give out, and how many of them are held."""

    total: int = 0
    in_use: int = 0


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a pool has no address for a service; without ``detail`` it has one."""

    pool: str
    detail: str


class NoAddressError(AllocationError):
    """No pool has an address for a service: why not, for each pool."""

    def __init__(self, message: str, rejections: tuple[Rejection, ...]) -> None:
        super().__init__(message)
        self.rejections = rejections


class _Prefix:
    """One prefix of a pool and what is free in it."""

    __slots__ = ("avoid_buggy", "cidr", "family", "free", "kind")

    def __init__(self, cidr: IPNetwork, *, avoid_buggy: bool) -> None:
        self.cidr = cidr
        self.kind = type(cidr.network_address)
        self.family = Family.of(cidr.network_address)
        self.avoid_buggy = avoid_buggy
        self.free = FreeList(int(cidr.network_address), int(cidr.broadcast_address))

    def may_give(self, address: IPAddress) -> bool:
        return address in self.cidr and not (self.avoid_buggy and is_buggy(address))

    def lowest_free(self) -> IPAddress | None:
        while (number := self.free.lowest()) is not None:
            address = self.kind(number)
            if not (self.avoid_buggy and is_buggy(address)):
                return address
            self.free.take(number)  # nobody will ever get it, so nobody gives it back
        return None

    def size(self) -> int:
        if not self.avoid_buggy or self.family is not Family.IPV4:
            return self.cidr.num_addresses
        if self.cidr.prefixlen <= 24:
            return self.cidr.num_addresses - 2 * (self.cidr.num_addresses // 256)
        return self.cidr.num_addresses - sum(
            is_buggy(edge) for edge in {self.cidr[0], self.cidr[-1]}
        )


class Allocator:
    """Allocates (chooses) and assigns (binds given) addresses. It does no I/O."""

    def __init__(self) -> None:
        self._pools: dict[str, tuple[Pool, tuple[_Prefix, ...]]] = {}
        self._by_priority: tuple[Pool, ...] = ()
        self._holdings: dict[str, Holding] = {}
        self._users: dict[IPAddress, dict[str, SharingTerms]] = {}
        # How many services hold an address under a sharing key.
        self._shared: dict[str, Counter[IPAddress]] = {}

    def set_pools(self, pools: Iterable[Pool]) -> None:
        """Use these pools from now on. Every holding must fit into them (see ``misfits``)."""
        self._pools = {
            pool.name: (
                pool,
                tuple(_Prefix(cidr, avoid_buggy=pool.avoid_buggy_ips) for cidr in pool.cidrs),
            )
            for pool in pools
        }
        self._by_priority = tuple(sorted((pool for pool, _ in self._pools.values()), key=_rank))
        holdings, self._holdings, self._users, self._shared = self._holdings, {}, {}, {}
        for key, held in holdings.items():
            self._bind(key, held.addresses, held.terms)

    def misfits(self, pools: Iterable[Pool]) -> list[tuple[str, Holding]]:
        """Return the holdings that no one of these pools could own, by service key."""
        candidates = tuple(pools)
        return [
            (key, held)
            for key, held in sorted(self._holdings.items())
            if not any(all(map(pool.allocatable, held.addresses)) for pool in candidates)
        ]

    def held(self, key: str) -> Holding | None:
        """Return what a service holds."""
        return self._holdings.get(key)

    def release(self, key: str) -> bool:
        """Free what a service holds. Returns whether it held anything."""
        held = self._holdings.pop(key, None)
        if held is None:
            return False
        for address in held.addresses:
            self._count_shared(address, held.terms, -1)
            users = self._users[address]
            del users[key]
            if not users:
                del self._users[address]
                self._prefix_of(address).free.give_back(int(address))
        return True

    def assign(self, key: str, addresses: tuple[IPAddress, ...], terms: SharingTerms) -> Holding:
        """Bind given addresses to a service, in place of what it holds.

        Raises AllocationError, in MetalLB's words, where they may not be its; then nothing
        changes.
        """
        if self.owner_of(addresses) is None:
            raise AllocationError(f"{go_quote_list(addresses)} is not allowed in config")
        for address in addresses:
            self._check_sharing(key, address, terms)
        self.release(key)
        return self._bind(key, addresses, terms)

    def allocate(self, key: str, request: Request) -> Holding:
        """Choose addresses for a service that holds none.

        Raises AllocationError, in MetalLB's words, where none are to be had: a NoAddressError
        where pools were asked.
        """
        if request.pool and not self.offers(request.pool):
            raise AllocationError(f'unknown pool "{request.pool}"')
        for families in _family_choices(request):
            for pool in self._by_priority:
                if not _refusal(pool, request):
                    addresses = self._find(pool.name, families, request.terms)
                    if addresses:
                        return self._bind(key, addresses, request.terms)
        raise self._no_address(request)

    def survey(self, request: Request) -> tuple[Rejection, ...]:
        """Return, pool by pool, what speaks against it; nothing where it has an address."""
        return tuple(
            Rejection(pool.name, self._shortage(pool, request)) for pool in self._by_priority
        )

    def _no_address(self, request: Request) -> NoAddressError:
        asked = (each for each in self.survey(request) if request.pool in ("", each.pool))
        rejections = tuple(asked)
        message = "no available IPs"
        if request.pool:
            wanted = request.families[0] if len(request.families) == 1 else Family.DUAL
            message += f' in pool "{request.pool}" for {wanted.value} IPFamily'
        return NoAddressError(f"{message}: {_in_brief(rejections)}", rejections)

    def _shortage(self, pool: Pool, request: Request) -> str:
        refusal = _refusal(pool, request)
        if refusal:
            return refusal
        members = self._pools[pool.name][1]
        missing = []
        for family in request.families:
            if all(prefix.family is not family for prefix in members):
                missing.append(f"no {family.value} addresses in it")
            elif self._find_one(pool.name, family, request.terms) is None:
                missing.append(f"no {family.value} address free")
        return ", ".join(missing)

    def owner_of(self, addresses: Iterable[IPAddress]) -> str | None:
        """Return the name of the one pool that may give out all these addresses."""
        wanted = tuple(addresses)
        pools = (pool for pool, _ in self._pools.values())
        return next((p.name for p in pools if all(map(p.allocatable, wanted))), None)

    def pools(self) -> tuple[Pool, ...]:
        """Return the pools in use, in the order in which addresses are taken from them."""
        return self._by_priority

    def refusal(self, pool: str, tenant: Tenant) -> str:
        """Return why a pool is not for a service; nothing where it is."""
        return self._pools[pool][0].tenancy.refusal(tenant)

    def offers(self, pool: str) -> bool:
        """Whether there is a pool of this name that addresses can be taken from."""
        return pool in self._pools and not self.is_draining(pool)

    def is_draining(self, pool: str) -> bool:
        """Whether a pool of this name is one that nothing new is taken from."""
        return pool in self._pools and self._pools[pool][0].draining

    def holdings(self) -> Iterable[Holding]:
        """Return everything that is held."""
        return self._holdings.values()

    def usage(self) -> dict[str, dict[Family, Usage]]:
        """How full each pool is, IPv4 and IPv6 apart; a shared address counts once."""
        # By address: a pool may have one that another, which drains, holds for a pair.
        counts = Counter((self.owner_of((each,)), Family.of(each)) for each in self._users)
        return {
            name: {
                family: Usage(
                    sum(prefix.size() for prefix in prefixes if prefix.family is family),
                    counts[name, family],
                )
                for family in (Family.IPV4, Family.IPV6)
            }
            for name, (_, prefixes) in self._pools.items()
        }

    def _find(
        self, pool: str, families: tuple[Family, ...], terms: SharingTerms
    ) -> tuple[IPAddress, ...]:
        found = [self._find_one(pool, family, terms) for family in families]
        return tuple(address for address in found if address) if all(found) else ()

    def _find_one(self, pool: str, family: Family, terms: SharingTerms) -> IPAddress | None:
        for prefix in self._pools[pool][1]:
            if prefix.family is not family:
                continue
            choices = [prefix.lowest_free(), self._lowest_shareable(prefix, terms)]
            found = [address for address in choices if address is not None]
            if found:
                return min(found, key=int)
        return None

    def _lowest_shareable(self, prefix: _Prefix, terms: SharingTerms) -> IPAddress | None:
        shareable = (
            address
            for address in self._shared.get(terms.key, ())
            if prefix.may_give(address)
            and not any(_conflict(terms, other) for other in self._users[address].values())
        )
        return min(shareable, key=int, default=None)

    def _count_shared(self, address: IPAddress, terms: SharingTerms, change: int) -> None:
        if not terms.key:
            return
        counts = self._shared.setdefault(terms.key, Counter())
        counts[address] += change
        if not counts[address]:
            del counts[address]
        if not counts:
            del self._shared[terms.key]

    def _check_sharing(self, key: str, address: IPAddress, terms: SharingTerms) -> None:
        others = {k: t for k, t in self._users.get(address, {}).items() if k != key}
        conflicts = {k: reason for k, t in others.items() if (reason := _conflict(terms, t))}
        if not conflicts:
            return
        port = next((reason for reason in conflicts.values() if reason != KEYS_DIFFER), None)
        if port:
            raise AllocationError(f'port {port} is already in use on "{address}"')
        users = ",".join(sorted(conflicts))
        raise AllocationError(
            f'can\'t change sharing key for "{key}", address also in use by {users}'
        )

    def _bind(self, key: str, addresses: tuple[IPAddress, ...], terms: SharingTerms) -> Holding:
        pool = self.owner_of(addresses)
        if pool is None:
            raise KeyError(addresses)
        for address in addresses:
            users = self._users.setdefault(address, {})
            if not users:
                self._prefix_of(address).free.take(int(address))
            users[key] = terms
            self._count_shared(address, terms, 1)
        held = Holding(addresses, pool, terms)
        self._holdings[key] = held
        return held

    def _prefix_of(self, address: IPAddress) -> _Prefix:
        prefixes = (prefix for _, members in self._pools.values() for prefix in members)
        return next(prefix for prefix in prefixes if prefix.may_give(address))


KEYS_DIFFER = "keys differ"


def _conflict(ours: SharingTerms, theirs: SharingTerms) -> str:
    """Return why two services can't share an address: a port, that keys differ, or nothing."""
    if not ours.key or ours.key != theirs.key or ours.backend_key != theirs.backend_key:
        return KEYS_DIFFER
    common = ours.ports & theirs.ports
    return "/".join(map(str, min(common))) if common else ""


def _rank(pool: Pool) -> tuple[bool, int]:
    return (pool.priority is None, pool.priority or 0)


def _refusal(pool: Pool, request: Request) -> str:
    """Return why a pool is out of the question for a request, however much is free in it."""
    if pool.draining:
        return "it was removed from the configuration"
    if not pool.auto_assign and not request.pool:
        return "auto-assign is off: it must be asked for by name"
    if request.pool not in ("", pool.name):
        return "another pool is asked for"
    return pool.tenancy.refusal(request.tenant)


def _in_brief(rejections: tuple[Rejection, ...]) -> str:
    """Return the first few rejections as words; ``metallb-py explain`` tells all of them."""
    if not rejections:
        return "no pool is configured"
    told = [f'pool "{each.pool}": {each.detail}' for each in rejections[:MAX_TOLD]]
    left = len(rejections) - MAX_TOLD
    return "; ".join([*told, f"and {left} more pools"] if left > 0 else told)


def _family_choices(request: Request) -> Iterable[tuple[Family, ...]]:
    """The sets of families that will do, the best first."""
    yield request.families
    if request.fewer_families_do and len(request.families) > 1:
        yield from ((family,) for family in request.families)
