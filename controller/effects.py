"""What the core has its drivers do, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass

from controller.allocator import Holding
from controller.assignment import Outcome
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.addresses import IPAddress
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Pool

# Where a service's addresses are from (MetalLB since 0.13.9).
POOL_ANNOTATION = "metallb.universe.tf/ip-allocated-from-pool"


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Make a service's status hold exactly these addresses, from this pool."""

    service: Service
    addresses: tuple[IPAddress, ...]
    pool: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Something was decided about a service that is worth telling."""

    service: Service
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ServiceGone:
    """A service was deleted, or is no longer ours."""

    key: str


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """A configuration is in force."""

    config: Config


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """A configuration does not fit what is assigned; the earlier one stays in force."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """Everything held was re-claimed; from now on addresses are given out."""


@dataclass(frozen=True, slots=True)
class Orphaned:
    """A service holds addresses that a new configuration has no pool for."""

    service: Service
    held: Holding
    policy: OrphanPolicy


@dataclass(frozen=True, slots=True)
class DrainingChanged:
    """These pools drain now."""

    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True)
class StatusContested:
    """Another controller overwrites a service's status again and again, with this ``foreign``."""

    service: Service
    addresses: tuple[IPAddress, ...]
    foreign: tuple[str, ...]


Effect = (
    WriteStatus
    | StatusContested
    | Decided
    | ServiceGone
    | ConfigApplied
    | ConfigRefused
    | Started
    | Orphaned
    | DrainingChanged
)
