"""Addresses in use whose pool a new configuration no longer has, and the policy for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from controller.allocator import Allocator, Holding
from controller.pool_table import PoolTable
from metallb_py.addresses import go_quote_list
from metallb_py.config.draining import drain
from metallb_py.model.config import Pool
from metallb_py.model.pool_access import ServiceIdentity


class OrphanPolicy(StrEnum):
    """The operator's policy for orphaned addresses (``--orphaned-addresses``)."""

    DRAIN = "drain"
    """Services keep their addresses until they release them; the pool drains."""
    REFUSE = "refuse"
    """The configuration waits until no service holds such addresses (MetalLB 0.12)."""
    RENUMBER = "renumber"
    """Services get other addresses at once (MetalLB 0.14)."""


def pools_to_drain(
    pools: Iterable[Pool], orphans: Iterable[Holding], already: tuple[Pool, ...] = ()
) -> tuple[Pool, ...]:
    """Return the draining pools: those of ``already``, and the pools that own orphans."""
    names = {held.pool for held in orphans}
    return drain((pool for pool in pools if pool.name in names), already)


def no_longer_permitted(
    allocator: Allocator, pools: Iterable[Pool], tenants: Mapping[str, ServiceIdentity]
) -> list[tuple[str, Holding]]:
    """Return the holdings whose pool among the new ones is closed to their service.

    Holdings whose present pool is closed to the service, too, are left out: that was caused by a
    change of labels, not of the configuration.
    """
    found = []
    table = PoolTable(pools)
    for key, tenant in tenants.items():
        held = allocator.held(key)
        if held is None or allocator.refusal(held.pool, tenant):
            continue
        owner = table.owner(held.addresses)
        if owner is not None and owner.tenancy.refusal(tenant):
            found.append((key, held))
    return found


def still_needed(pools: Iterable[Pool], holdings: Iterable[Holding]) -> tuple[Pool, ...]:
    """Return those of the draining pools that still own a holding."""
    names = {held.pool for held in holdings}
    return tuple(pool for pool in pools if pool.name in names)


def describe_misfit(key: str, held: Holding) -> str:
    """Return MetalLB's message that a service would lose its addresses."""
    return (
        f'new config not compatible with assigned IPs: service "{key}" cannot own '
        f"{go_quote_list(held.addresses)} under new config"
    )
