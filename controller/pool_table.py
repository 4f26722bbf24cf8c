"""Ordered table of pools, with lookups of the owner of addresses; short: two modules share it.

The cost of a lookup does not depend on the number of pools and of their blocks of addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.config import Pool, is_buggy
from metallb_py.model.prefix_index import PrefixIndex


class PoolTable:
    """Pools and their blocks of addresses. Blocks are numbered from 0, pool after pool."""

    __slots__ = ("_index", "_owners", "blocks", "pools")

    def __init__(self, pools: Iterable[Pool]) -> None:
        self.pools: tuple[Pool, ...] = tuple(pools)
        self._owners = [number for number, pool in enumerate(self.pools) for _ in pool.cidrs]
        self.blocks: Sequence[IPNetwork] = [cidr for pool in self.pools for cidr in pool.cidrs]
        self._index = PrefixIndex((cidr,) for cidr in self.blocks)

    def owner(self, addresses: Iterable[IPAddress]) -> Pool | None:
        """Return the first pool that may allocate all these addresses; None if there is none."""
        wanted = tuple(addresses)
        buggy = any(map(is_buggy, wanted))
        pools = (self.pools[number] for number in self._numbers(wanted))
        return next((pool for pool in pools if not (buggy and pool.avoid_buggy_ips)), None)

    def container(self, address: IPAddress) -> Pool | None:
        """Return the first pool that contains an address, even one that it never allocates."""
        return next((self.pools[number] for number in self._numbers((address,))), None)

    def block_of(self, address: IPAddress) -> int | None:
        """Return the number of the first block from which an address may be allocated."""
        buggy = is_buggy(address)
        for number in sorted(self._index.containing(address)):
            if not (buggy and self.pools[self._owners[number]].avoid_buggy_ips):
                return number
        return None

    def _numbers(self, addresses: tuple[IPAddress, ...]) -> list[int]:
        """Return the numbers, in ascending order, of the pools that contain all addresses."""
        found: set[int] | None = None
        for address in addresses:
            pools = {self._owners[number] for number in self._index.containing(address)}
            found = pools if found is None else found & pools
        return list(range(len(self.pools))) if found is None else sorted(found)
