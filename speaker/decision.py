"""Whether this node announces a service: MetalLB's questions, in MetalLB's order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metallb_py.addresses import IPAddress, go_quote_list, parse_address
from metallb_py.config.model import Config, Pool, Protocol
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.verdict import Checks, Verdict
from speaker.bgp import eligibility as bgp
from speaker.layer2 import eligibility as layer2

LOCAL = "Local"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What this node announces for a service.

    ``local_endpoints``: of a service that BGP advertises and that takes only this node's own
    (``externalTrafficPolicy: Local``), how many these are.
    """

    addresses: tuple[IPAddress, ...]
    pool: Pool
    local_endpoints: int | None = None

    @property
    def protocol(self) -> Protocol:
        """How it is announced."""
        return self.pool.protocol

    def resembles(self, other: Announcement) -> bool:
        """Whether they differ in the number of endpoints alone, if at all."""
        return (self.addresses, self.pool) == (other.addresses, other.pool)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a decision depends on besides the service: this node, the others, the configuration."""

    node: str
    cluster: layer2.Cluster
    config: Config


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to announce, and what. ``announcement`` is None where the verdict is negative."""

    verdict: Verdict
    announcement: Announcement | None = None


def decide(
    service: Service | None, endpoints: ServiceEndpoints | None, around: Surroundings
) -> Decision:
    """Decide about one service. None for a service or its endpoints means: there are none."""
    checks = Checks()
    if service is None or endpoints is None:
        return Decision(checks.failed("service", "serviceDeleted"))
    if not service.is_load_balancer:
        detail = f"its type is {service.spec.type}"
        return Decision(checks.failed("service", "notLoadBalancer", detail))
    checks.passed("service")
    if not service.ingress:
        return Decision(checks.failed("addresses", "noIPAllocated"))
    try:
        addresses = tuple(parse_address(entry.ip) for entry in service.ingress)
    except ValueError as error:
        return Decision(checks.failed("addresses", "invalidIP", str(error)))
    checks.passed("addresses", go_quote_list(addresses))
    pool = around.config.pool_of(addresses)
    if pool is None:
        detail = f"no pool contains {go_quote_list(addresses)}"
        return Decision(checks.failed("pool", "ipNotAllowed", detail))
    checks.passed("pool", pool.name)
    announcement = Announcement(addresses, pool)
    if pool.protocol is Protocol.BGP and service.spec.external_traffic_policy == LOCAL:
        serving = endpoints.serving.get(around.node, 0)
        announcement = replace(announcement, local_endpoints=serving)
    last = _ask_protocol(service, endpoints, announcement, around)
    verdict = replace(last, checks=checks.all_passed().checks + last.checks)
    return Decision(verdict, announcement if verdict.positive else None)


def _ask_protocol(
    service: Service,
    endpoints: ServiceEndpoints,
    announcement: Announcement,
    around: Surroundings,
) -> Verdict:
    local = service.spec.external_traffic_policy == LOCAL
    match announcement.protocol:
        case Protocol.LAYER2:
            claim = layer2.Claim(announcement.addresses, announcement.pool, endpoints, local)
            return layer2.eligible(claim, around.node, around.cluster)
        case Protocol.BGP:
            return bgp.eligible(endpoints, around.node, local=local)
