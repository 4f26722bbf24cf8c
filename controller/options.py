"""What the controller can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from controller.orphans import OrphanPolicy
from metallb_py.runtime.flags import CommonOptions


@dataclass(frozen=True, slots=True)
class Options:
    """What the controller was asked for."""

    common: CommonOptions
    load_balancer_class: str
    orphaned_addresses: OrphanPolicy = OrphanPolicy.DRAIN
