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


class SliceIndex:
    """Sums up slices by the service that they belong to."""

    __slots__ = ("_slices",)

    def __init__(self) -> None:
        self._slices: dict[str, dict[str, EndpointSlice]] = {}

    def changed(
        self, key: str, old: EndpointSlice | None, new: EndpointSlice | None
    ) -> dict[str, ServiceEndpoints | None]:
        """Take in a change of one slice; return what it means, by service key.

        None stands for a service that has no slices left. A slice may change its service.
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
