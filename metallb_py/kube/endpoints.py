"""Where a service's endpoints are, whichever API tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metallb_py.kube.objects import Endpoints, EndpointSlice, SliceEndpoint


@dataclass(frozen=True, slots=True)
class ServiceEndpoints:
    """The usable endpoints of one service.

    ``nodes`` are those with at least one; an endpoint without a node counts in ``usable`` alone.
    """

    usable: int = 0
    nodes: frozenset[str] = frozenset()


def from_slices(slices: Iterable[EndpointSlice]) -> ServiceEndpoints:
    """Sum up the slices of one service.

    An address may stand in two slices for a moment, while it moves between them; it counts once,
    and as unusable if either says so (MetalLB).
    """
    health: dict[str, tuple[bool, str]] = {}
    for endpoint in (e for s in slices for e in s.endpoints or ()):
        usable = _usable(endpoint)
        for address in endpoint.addresses:
            earlier, _ = health.get(address, (True, ""))
            health[address] = (earlier and usable, endpoint.node_name or "")
    return _sum_up(health)


def from_endpoints(endpoints: Endpoints) -> ServiceEndpoints:
    """Sum up an Endpoints object. An address that is ready and not ready counts as not ready."""
    health: dict[str, tuple[bool, str]] = {}
    for subset in endpoints.subsets or ():
        for address in subset.addresses or ():
            earlier, _ = health.get(address.ip, (True, ""))
            health[address.ip] = (earlier, address.node_name or "")
        for address in subset.not_ready_addresses or ():
            health[address.ip] = (False, address.node_name or "")
    return _sum_up(health)


def _usable(endpoint: SliceEndpoint) -> bool:
    # As MetalLB since 0.14.5: a terminating endpoint that still serves counts.
    return endpoint.conditions.ready is not False or endpoint.conditions.serving is True


def _sum_up(health: dict[str, tuple[bool, str]]) -> ServiceEndpoints:
    nodes = [node for usable, node in health.values() if usable]
    return ServiceEndpoints(usable=len(nodes), nodes=frozenset(filter(None, nodes)))
