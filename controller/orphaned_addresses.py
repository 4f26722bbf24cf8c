"""What becomes of addresses in use whose pool a new configuration no longer has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from controller.allocator import Allocator, Holding
from controller.pool_table import PoolTable
from metallb_py.addresses import go_quote_list
from metallb_py.config.draining import drain
from metallb_py.model.config import Pool
from metallb_py.model.pool_access import Tenant


class OrphanPolicy(StrEnum):
    """The operator's choice.

    ``drain``: services keep their addresses until they let go of them. ``refuse``: the
    configuration waits until nothing is in the way (MetalLB 0.12). ``renumber``: services get
    other addresses at once (MetalLB 0.14).
    """

    DRAIN = "drain"
    REFUSE = "refuse"
    RENUMBER = "renumber"


def pools_to_drain(
    pools: Iterable[Pool], orphans: Iterable[Holding], already: tuple[Pool, ...] = ()
) -> tuple[Pool, ...]:
    """Return what drains from now on: more than ``already``, the pools that orphans are in."""
    names = {held.pool for held in orphans}
    return drain((pool for pool in pools if pool.name in names), already)


def expelled(
    allocator: Allocator, pools: Iterable[Pool], tenants: Mapping[str, Tenant]
) -> list[tuple[str, Holding]]:
    """Return the holdings that new pools contain, in a pool that is no longer for their service.

    Those that the present pools are not for either are left alone: no change of the configuration
    did that, but one of the labels.
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
    """Return those of the draining pools that something is still held in."""
    names = {held.pool for held in holdings}
    return tuple(pool for pool in pools if pool.name in names)


def describe_misfit(key: str, held: Holding) -> str:
    """Say in MetalLB's words that a service would lose its addresses."""
    return (
        f'new config not compatible with assigned IPs: service "{key}" cannot own '
        f"{go_quote_list(held.addresses)} under new config"
    )
