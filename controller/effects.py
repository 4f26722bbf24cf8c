"""Effects of the core: writes for the drivers to perform, and changes to report."""

from __future__ import annotations

from dataclasses import dataclass

from controller.allocator import Holding
from controller.assignment import Outcome
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.addresses import IPAddress
from metallb_py.kube.annotation_names import PREFIX
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Pool

# Name of the pool of a service's addresses (MetalLB since 0.13.9).
POOL_ANNOTATION = f"{PREFIX}/ip-allocated-from-pool"


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write these addresses to a service's status, replacing all others, and their pool's name."""

    service: Service
    addresses: tuple[IPAddress, ...]
    pool: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Report of a decision: the verdict changed, or the service got or lost addresses."""

    service: Service
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ServiceGone:
    """Report of a service that was deleted, or that this controller no longer serves."""

    key: str


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """Report of a configuration that came into force."""

    config: Config


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """Report of a configuration that does not contain all addresses in use.

    The earlier one stays in force. ``problems`` has a message for each service.
    """

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """Report that all addresses in statuses were reclaimed; allocation begins."""


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Report of a service that holds addresses without a pool in a new configuration."""

    service: Service
    held: Holding
    policy: OrphanPolicy


@dataclass(frozen=True, slots=True)
class DrainingChanged:
    """Report of a change of the draining pools; ``pools`` has all of them."""

    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True)
class StatusContested:
    """Report of another controller that overwrites a service's status repeatedly."""

    service: Service
    addresses: tuple[IPAddress, ...]
    """The addresses that the status must have."""
    foreign: tuple[str, ...]
    """The other controller's entries of the status: IP addresses or host names."""


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
