"""Explanation of a service's addresses, or of their absence, with the controller's own verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.allocator import Rejection
from controller.assignment import Outcome
from controller.core import Controller
from controller.requests import InvalidRequest, ServiceRequest, parse
from controller.simulation import simulate
from metallb_py.addresses import IPAddress
from metallb_py.config.draining import configured_name
from metallb_py.kube.objects import Service
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Pool
from metallb_py.printable import and_more

MAX_PROBLEMS = 5


class ServiceState(StrEnum):
    """Allocation state of a Service as seen by the controller."""

    SERVED = "served"
    """It has its addresses, and its status contains them."""
    PENDING = "pending"
    """It has no addresses; the verdict has the reason."""
    IN_FLIGHT = "in flight"
    """Its status differs from what the controller would write, and should be written soon."""
    NOT_OURS = "not ours"
    """It requests another load balancer, or none."""
    NO_CONFIGURATION = "no configuration"
    """There has never been a valid configuration, so nothing is allocated."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that the controller can report about one service."""

    service: Service
    state: ServiceState
    shown: tuple[IPAddress, ...]
    """The addresses in its status."""
    outcome: Outcome | None = None
    """The controller's decision; None if it makes none."""
    pool: Pool | None = None
    """The pool of its addresses; None without addresses."""
    request: ServiceRequest | None = None
    """None if the request is invalid."""
    survey: tuple[Rejection, ...] = ()
    """For each pool, in the order in which they are tried, why it has no address for the service
    today; empty detail if it has one."""
    shares_with: tuple[str, ...] = ()
    """Keys of the other services on its addresses."""
    configuration: tuple[str, ...] = ()
    """Reasons why there is no configuration; empty if there is one."""


def explain(snapshot: Snapshot, key: str, load_balancer_class: str = "") -> Explanation:
    """Explain one service. Raises KeyError if there is no service of this key."""
    service = next((item for item in snapshot.services if item.key == key), None)
    if service is None:
        raise KeyError(key)
    shown = service.status_addresses
    core = simulate(snapshot, load_balancer_class)
    if not service.is_load_balancer or not core.concerns(service):
        return Explanation(service, ServiceState.NOT_OURS, shown)
    outcome = core.outcome(key)
    if outcome is None:
        why = _no_configuration(snapshot)
        return Explanation(service, ServiceState.NO_CONFIGURATION, shown, configuration=why)
    request = _request(service, snapshot)
    return Explanation(
        service,
        _service_state(shown, outcome),
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
    return (*problems, *and_more(len(latest.problems) - len(problems), "problems"))


def _service_state(shown: tuple[IPAddress, ...], outcome: Outcome) -> ServiceState:
    if shown != outcome.addresses:
        return ServiceState.IN_FLIGHT
    return ServiceState.SERVED if shown else ServiceState.PENDING


def _request(service: Service, snapshot: Snapshot) -> ServiceRequest | None:
    request = parse(service, snapshot.namespaces.get(service.metadata.namespace))
    return None if isinstance(request, InvalidRequest) else request


def _sharers(core: Controller, key: str, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the keys of the other services that hold one of this service's addresses."""
    held = core.allocator.held(key)
    ours = set(held.addresses) if held else set()
    others = ((item.key, core.allocator.held(item.key)) for item in snapshot.services)
    return tuple(
        sorted(
            name for name, other in others if name != key and other and ours & set(other.addresses)
        )
    )


def pool_label(pool: Pool) -> str:
    """Return a pool's name, protocol and state as text for a sentence."""
    state = ", draining" if pool.draining else ""
    return f'pool "{configured_name(pool.name)}" ({pool.protocol}{state})'
