"""Endpoints of a service by node, from EndpointSlices or from Endpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from metallb_py.kube.objects import Endpoints, EndpointSlice, SliceEndpoint


@dataclass(frozen=True, slots=True)
class ServiceEndpoints:
    """Usable endpoints of one service: the ready ones, and those that serve while terminating."""

    usable: int = 0
    """Number of usable endpoints; one without a node counts only here."""
    nodes: frozenset[str] = frozenset()
    """Nodes with at least one usable endpoint."""
    leaving: frozenset[str] = frozenset()
    """Those of ``nodes`` where all usable endpoints are terminating."""
    serving: Mapping[str, int] = field(default_factory=dict)
    """Number of endpoints, by node, that receive the node's traffic.

    The ready ones and, where there are none, the terminating ones (kube-proxy). An endpoint with
    addresses of both families counts once here.
    """


def from_slices(slices: Iterable[EndpointSlice]) -> ServiceEndpoints:
    """Summarize the slices of one service.

    An address may be in two slices for a short time, while it moves between them. It counts once,
    and as unusable if it is unusable in either (MetalLB).
    """
    health: dict[str, _Health] = {}
    for endpoint in (e for s in slices for e in s.endpoints or ()):
        state = _state(endpoint)
        for address in endpoint.addresses:
            earlier = health.get(address, _Health(_State.READY))
            health[address] = _Health(min(earlier.state, state), endpoint.node_name or "")
    return _sum_up(health)


def from_endpoints(endpoints: Endpoints) -> ServiceEndpoints:
    """Summarize an Endpoints object. An address both ready and not ready counts as not ready."""
    health: dict[str, _Health] = {}
    for subset in endpoints.subsets or ():
        for address in subset.addresses or ():
            earlier = health.get(address.ip, _Health(_State.READY))
            health[address.ip] = _Health(earlier.state, address.node_name or "")
        for address in subset.not_ready_addresses or ():
            health[address.ip] = _Health(_State.UNUSABLE, address.node_name or "")
    return _sum_up(health)


class _State(IntEnum):
    UNUSABLE = 0
    TERMINATING = 1
    READY = 2


@dataclass(frozen=True, slots=True)
class _Health:
    state: _State
    node: str = ""


def _state(endpoint: SliceEndpoint) -> _State:
    if endpoint.conditions.ready is not False:
        return _State.READY
    # As MetalLB since 0.14.5: a terminating endpoint that is still serving is usable.
    return _State.TERMINATING if endpoint.conditions.serving is True else _State.UNUSABLE


def _sum_up(health: Mapping[str, _Health]) -> ServiceEndpoints:
    usable = [each for each in health.values() if each.state is not _State.UNUSABLE]
    nodes = frozenset(each.node for each in usable if each.node)
    leaving = nodes - {each.node for each in usable if each.state is _State.READY}
    counts = {family: _count(health, leaving, family) for family in (4, 6)}
    serving = {node: max(count[node] for count in counts.values()) for node in sorted(nodes)}
    return ServiceEndpoints(len(usable), nodes, leaving, serving)


def _count(health: Mapping[str, _Health], leaving: frozenset[str], family: int) -> Counter[str]:
    return Counter(
        each.node
        for address, each in health.items()
        if (6 if ":" in address else 4) == family
        and each.state is (_State.TERMINATING if each.node in leaving else _State.READY)
    )


class SliceIndex:
    """EndpointSlices by the service that they belong to, with their summaries."""

    __slots__ = ("_slices",)

    def __init__(self) -> None:
        self._slices: dict[str, dict[str, EndpointSlice]] = {}

    def changed(
        self, key: str, old: EndpointSlice | None, new: EndpointSlice | None
    ) -> dict[str, ServiceEndpoints | None]:
        """Apply a change of one slice; return the new summaries by service key.

        None stands for a service without slices. A change may move a slice to another service.
        """
        services = {item.service_key for item in (old, new) if item is not None}
        if old is not None:
            members = self._slices.get(old.service_key, {})
            members.pop(key, None)
        if new is not None:
            self._slices.setdefault(new.service_key, {})[key] = new
        return {service: self._sum_up(service) for service in sorted(services)}

    def _sum_up(self, service: str) -> ServiceEndpoints | None:
        members = self._slices.get(service)
        if not members:
            self._slices.pop(service, None)
            return None
        return from_slices(members.values())
