"""Why a service has its addresses, or why it has none: what the controller would say of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.allocator import Rejection
from controller.assignment import Outcome
from controller.core import Controller
from controller.requests import InvalidRequest, ServiceRequest, parse
from controller.simulation import rehearse
from metallb_py.addresses import IPAddress
from metallb_py.config.draining import configured_name
from metallb_py.kube.objects import Service
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Pool

MAX_PROBLEMS = 5


class Stand(StrEnum):
    """How a service and the controller stand to each other."""

    SERVED = "served"
    """It has its addresses, and its status says so."""
    PENDING = "pending"
    """It has none, and the verdict tells why."""
    IN_FLIGHT = "in flight"
    """Its status is not what the controller would write: a moment later it should be."""
    NOT_OURS = "not ours"
    """It asks for another load balancer, or for none."""
    NO_CONFIGURATION = "no configuration"
    """There never was a valid one, so that nothing is given out."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is to be known of one service.

    ``shown`` is what its status says. ``request`` is missing where it can't be read. ``survey``
    tells of each pool what speaks against it today, in the order in which pools are tried.
    """

    service: Service
    stand: Stand
    shown: tuple[IPAddress, ...]
    outcome: Outcome | None = None
    pool: Pool | None = None
    request: ServiceRequest | None = None
    survey: tuple[Rejection, ...] = ()
    shares_with: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()
    """Why there is no configuration, where there is none."""


def explain(snapshot: Snapshot, key: str, load_balancer_class: str = "") -> Explanation:
    """Explain one service. Raises KeyError where there is none of this key."""
    service = next((item for item in snapshot.services if item.key == key), None)
    if service is None:
        raise KeyError(key)
    shown = service.status_addresses
    core = rehearse(snapshot, load_balancer_class)
    if not service.is_load_balancer or not core.concerns(service):
        return Explanation(service, Stand.NOT_OURS, shown)
    outcome = core.outcome(key)
    if outcome is None:
        why = _no_configuration(snapshot)
        return Explanation(service, Stand.NO_CONFIGURATION, shown, configuration=why)
    request = _request(service, snapshot)
    return Explanation(
        service,
        _stand(shown, outcome),
        shown,
        outcome,
        next((pool for pool in core.allocator.pools() if pool.name == outcome.pool), None),
        request,
        core.allocator.survey(request) if request else (),
        _sharers(core, key, snapshot),
    )


def _no_configuration(snapshot: Snapshot) -> tuple[str, ...]:
    latest = snapshot.inputs.read().latest
    if latest is None:
        return ("there is no ConfigMap of that name (--namespace, --config)",)
    problems = tuple(f"ConfigMap: {problem}" for problem in latest.problems[:MAX_PROBLEMS])
    more = len(latest.problems) - len(problems)
    return (*problems, f"and {more} more problems") if more else problems


def _stand(shown: tuple[IPAddress, ...], outcome: Outcome) -> Stand:
    if shown != outcome.addresses:
        return Stand.IN_FLIGHT
    return Stand.SERVED if shown else Stand.PENDING


def _request(service: Service, snapshot: Snapshot) -> ServiceRequest | None:
    request = parse(service, snapshot.namespaces.get(service.metadata.namespace))
    return None if isinstance(request, InvalidRequest) else request


def _sharers(core: Controller, key: str, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the other services that hold one of its addresses."""
    held = core.allocator.held(key)
    ours = set(held.addresses) if held else set()
    others = ((item.key, core.allocator.held(item.key)) for item in snapshot.services)
    return tuple(
        sorted(
            name for name, other in others if name != key and other and ours & set(other.addresses)
        )
    )


def pool_label(pool: Pool) -> str:
    """Return how a pool is called in sentences."""
    state = ", draining" if pool.draining else ""
    return f'pool "{configured_name(pool.name)}" ({pool.protocol}{state})'
