"""Reclaiming of services' addresses when a controller starts, with the state that was stored.

If the operator's text is valid, it is the configuration. The last good one that an earlier
controller stored may be older than that text, or from another cluster: its pools are used only for
addresses that services hold and that the operator's text has no pool for. ``OrphanPolicy`` decides
about those, as if the text had been changed now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controller.allocator import Allocator, Holding
from controller.assignment import reclaim_in_order
from controller.orphaned_addresses import still_needed
from controller.requests import sharing_terms
from metallb_py.config.draining import drain
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Pool
from metallb_py.model.prefix_index import PrefixIndex


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Result of reclaiming."""

    draining: tuple[Pool, ...]
    """Pools that drain from the start."""
    orphans: tuple[tuple[str, Holding], ...] = ()
    """Holdings, by service key, of those pools that did not drain before."""


def reclaim_all(
    services: Iterable[Service],
    allocator: Allocator,
    config: Config,
    draining: tuple[Pool, ...],
    previous: Config | None,
) -> Reclaimed:
    """Bind the addresses in the services' statuses, in the services' order; set the pools needed.

    A pool of ``previous`` that is not in ``config`` starts to drain if a service holds addresses of
    it.
    """
    services = tuple(services)
    candidates = draining
    if previous is not None:
        candidates = drain(_shown(services, previous.pools_not_in(config)), draining)
    allocator.set_pools((*config.pools, *candidates))
    reclaim_in_order(services, allocator)
    needed = still_needed(candidates, allocator.holdings())
    if needed != candidates:
        allocator.set_pools((*config.pools, *needed))
    new = {pool.name for pool in needed} - {pool.name for pool in draining}
    return Reclaimed(needed, _holdings_in(new, services, allocator))


def renumbered(
    services: Iterable[Service], allocator: Allocator, previous: Config
) -> tuple[tuple[str, Holding], ...]:
    """Return the addresses in statuses that only the previous configuration has a pool for."""
    found = []
    for service in services:
        addresses = service.status_addresses
        if not service.is_load_balancer or not addresses or allocator.held(service.key):
            continue
        pool = previous.pool_of(addresses)
        if pool is not None:
            found.append((service.key, Holding(addresses, pool.name, sharing_terms(service))))
    return tuple(found)


def was_in_force(
    services: Iterable[Service], config: Config, draining: tuple[Pool, ...], previous: Allocator
) -> bool:
    """Whether statuses have addresses that ``config`` contains and ``previous`` did not reclaim.

    Then ``config`` was in force before, and the stored configuration is an older one.
    """
    unclaimed = [s for s in services if s.status_addresses and previous.held(s.key) is None]
    allocator = Allocator()
    allocator.set_pools((*config.pools, *draining))
    reclaim_in_order(unclaimed, allocator)
    return any(allocator.held(service.key) for service in unclaimed)


def _shown(services: Iterable[Service], pools: tuple[Pool, ...]) -> Iterator[Pool]:
    """Return the pools that contain all addresses of some service's status."""
    index = PrefixIndex(pool.cidrs for pool in pools)
    shown = {service.status_addresses for service in services} - {()}
    wanted = {number for addresses in shown for number in index.containing_all(addresses)}
    return (pool for number, pool in enumerate(pools) if number in wanted)


def _holdings_in(
    pools: set[str], services: Iterable[Service], allocator: Allocator
) -> tuple[tuple[str, Holding], ...]:
    held = ((service.key, allocator.held(service.key)) for service in services)
    return tuple((key, each) for key, each in held if each is not None and each.pool in pools)
