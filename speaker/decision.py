"""Whether this node announces a service: MetalLB's questions, in MetalLB's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metallb_py.addresses import IPAddress, go_quote_list, parse_address
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Pool, Protocol
from metallb_py.verdict import Checks, Verdict
from speaker.bgp import eligibility as bgp
from speaker.bgp.reach import Reach
from speaker.layer2 import eligibility as layer2

LOCAL = "Local"
NODE_ADDRESS = "nodeAddress"
"""The reason why an address that is a node's own is announced by no node."""
NO_PEER = "no BGP peer is configured"
MAX_NODES = 5
"""Nodes that are named at the most where each has a reason of its own."""


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
    protocol: Protocol | None = None
    """How its pool is announced, where the decision got as far as asking that."""


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
    for address in addresses:
        if host := around.cluster.host_of(address):
            detail = f"{address} is an address of node {host} itself, which alone answers for it"
            return Decision(checks.failed("nodes", NODE_ADDRESS, detail))
    announcement = Announcement(addresses, pool)
    if pool.protocol is Protocol.BGP and service.spec.external_traffic_policy == LOCAL:
        serving = endpoints.serving.get(around.node, 0)
        announcement = replace(announcement, local_endpoints=serving)
    last = _ask_protocol(service, endpoints, announcement, around)
    verdict = replace(last, checks=checks.all_passed().checks + last.checks)
    return Decision(verdict, announcement if verdict.positive else None, pool.protocol)


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
            excluded = around.cluster.nodes.get(around.node, layer2.UNKNOWN).excluded
            if excluded is not None:
                return Checks().failed("node", excluded.reason, excluded.detail)
            return bgp.eligible(endpoints, around.node, local=local)


def why_unannounced(
    service: Service,
    endpoints: ServiceEndpoints | None,
    context: Surroundings,
    decision: Decision,
    reach: Reach,
) -> str:
    """Return why no node announces a service that has addresses; empty where one does.

    ``decision`` is what one of the nodes with a usable speaker decided, ``context.node``. Over
    BGP, an address that no node has a peer for is announced by no node, whatever the others are.
    """
    verdict = decision.verdict
    if verdict.positive:
        return _no_peer(decision.announcement, service, endpoints, context, reach)
    if not service.is_load_balancer or not service.ingress:
        return ""
    if endpoints is None:
        return "noEndpoints: it has no endpoints"
    if verdict.checks[-1].name == layer2.ELECTION:
        return ""
    if decision.protocol is not Protocol.BGP:
        return f"{verdict.reason}: {verdict.detail}"
    # Over BGP each node decides by itself.
    for node in _bgp_candidates(service, endpoints, context.cluster)[:1]:
        there = replace(context, node=node)
        announcement = decide(service, endpoints, there).announcement
        return _no_peer(announcement, service, endpoints, there, reach)
    return "; ".join(_each_reason(service, endpoints, context)) or "no node has a usable speaker"


def _bgp_candidates(
    service: Service, endpoints: ServiceEndpoints, cluster: layer2.Cluster
) -> list[str]:
    """Return the nodes that may advertise a service over BGP, in order."""
    if not endpoints.usable:
        return []
    local = service.spec.external_traffic_policy == LOCAL
    return sorted(cluster.announcing & endpoints.nodes if local else cluster.announcing)


def _no_peer(
    announcement: Announcement | None,
    service: Service,
    endpoints: ServiceEndpoints | None,
    context: Surroundings,
    reach: Reach,
) -> str:
    """Return for which of the addresses that nodes may advertise over BGP none has a peer."""
    if announcement is None or announcement.protocol is not Protocol.BGP or endpoints is None:
        return ""
    nodes = context.cluster.nodes

    def has_peer(node: str, address: IPAddress) -> bool:
        labels = nodes.get(node, layer2.UNKNOWN).labels
        return reach.has_peer(address, announcement.pool, node, labels)

    addresses = [each for each in announcement.addresses if not has_peer(context.node, each)]
    if not addresses:
        return ""
    candidates = _bgp_candidates(service, endpoints, context.cluster)
    left = [each for each in addresses if not any(has_peer(node, each) for node in candidates)]
    if not left:
        return ""
    if not context.config.peers:
        return NO_PEER
    more = len(candidates) - MAX_NODES
    names = ", ".join(candidates[:MAX_NODES]) + (f" and {more} more nodes" if more > 0 else "")
    lacking = " and ".join(map(str, left))
    return f"{names}: no BGP peer for {lacking}, by the selectors and families of peers and pool"


def _each_reason(
    service: Service, endpoints: ServiceEndpoints, context: Surroundings
) -> Iterator[str]:
    """Yield the reasons of the first few nodes, and the number of the others."""
    names = sorted(context.cluster.usable_speakers)
    reasons: dict[str, list[str]] = {}
    for name in names[:MAX_NODES]:
        verdict = decide(service, endpoints, replace(context, node=name)).verdict
        reasons.setdefault(f"{verdict.reason}: {verdict.detail}", []).append(name)
    for reason, those in reasons.items():
        yield f"{', '.join(those)}: {reason}"
    if len(names) > MAX_NODES:
        yield f"and {len(names) - MAX_NODES} more nodes"
