"""Decision whether a node announces a service: MetalLB's checks, in MetalLB's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metallb_py.addresses import IPAddress, go_quote_list, parse_address
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Pool, Protocol
from metallb_py.printable import and_more, listed
from metallb_py.verdict import Checks, Verdict
from speaker.bgp import eligibility as bgp
from speaker.bgp.eligibility import Reach
from speaker.layer2 import eligibility as layer2

LOCAL = "Local"
NODE_ADDRESS = "nodeAddress"
"""Reason: the address is a node's own, so no node announces it."""
NO_PEER = "no BGP peer is configured"
MAX_NODES = 5
"""Number of nodes named at most in a message."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Addresses that a node announces for a service, and the pool that configures how.

    ``local_endpoints`` is the number of serving endpoints on the node, for a service that is
    advertised over BGP with ``externalTrafficPolicy: Local``; else None.
    """

    addresses: tuple[IPAddress, ...]
    pool: Pool
    local_endpoints: int | None = None

    @property
    def protocol(self) -> Protocol:
        """The protocol of the pool."""
        return self.pool.protocol

    def differs_only_in_endpoints(self, other: Announcement) -> bool:
        """Whether the two are equal apart from the number of local endpoints."""
        return (self.addresses, self.pool) == (other.addresses, other.pool)


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """Inputs of a decision besides the service: the node, the cluster, the configuration."""

    node: str
    cluster: layer2.Cluster
    config: Config


@dataclass(frozen=True, slots=True)
class Decision:
    """Verdict and announcement. ``announcement`` is None where the verdict is negative."""

    verdict: Verdict
    announcement: Announcement | None = None
    protocol: Protocol | None = None
    """Protocol of the pool; None where an earlier check failed."""


def decide(
    service: Service | None, endpoints: ServiceEndpoints | None, context: DecisionContext
) -> Decision:
    """Decide about one service. None stands for a service or endpoints that do not exist."""
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
    pool = context.config.pool_of(addresses)
    if pool is None:
        detail = f"no pool contains {go_quote_list(addresses)}"
        return Decision(checks.failed("pool", "ipNotAllowed", detail))
    checks.passed("pool", pool.name)
    for address in addresses:
        if host := context.cluster.host_of(address):
            detail = f"{address} is an address of node {host} itself, which alone answers for it"
            return Decision(checks.failed("nodes", NODE_ADDRESS, detail))
    announcement = Announcement(addresses, pool)
    if pool.protocol is Protocol.BGP and service.spec.external_traffic_policy == LOCAL:
        serving = endpoints.serving.get(context.node, 0)
        announcement = replace(announcement, local_endpoints=serving)
    last = _protocol_verdict(service, endpoints, announcement, context)
    verdict = replace(last, checks=checks.all_passed().checks + last.checks)
    return Decision(verdict, announcement if verdict.positive else None, pool.protocol)


def _protocol_verdict(
    service: Service,
    endpoints: ServiceEndpoints,
    announcement: Announcement,
    context: DecisionContext,
) -> Verdict:
    local = service.spec.external_traffic_policy == LOCAL
    match announcement.protocol:
        case Protocol.LAYER2:
            request = layer2.AnnouncementRequest(
                announcement.addresses, announcement.pool, endpoints, local
            )
            return layer2.eligible(request, context.node, context.cluster)
        case Protocol.BGP:
            excluded = context.cluster.nodes.get(context.node, layer2.UNKNOWN).excluded
            if excluded is not None:
                return Checks().failed("node", excluded.reason, excluded.detail)
            return bgp.eligible(endpoints, context.node, local=local)


def why_unannounced(
    service: Service,
    endpoints: ServiceEndpoints | None,
    context: DecisionContext,
    decision: Decision,
    reach: Reach,
) -> str:
    """Return why no node announces a service that has addresses; empty where one does.

    ``decision`` is that of ``context.node``, one of the nodes with a usable speaker. Over BGP,
    an address for which no node has a peer counts as unannounced, even if other addresses of the
    service are advertised.
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
    # Over BGP each node decides independently, so another node may advertise the service.
    for node in _bgp_candidates(service, endpoints, context.cluster)[:1]:
        other = replace(context, node=node)
        announcement = decide(service, endpoints, other).announcement
        return _no_peer(announcement, service, endpoints, other, reach)
    return "; ".join(_each_reason(service, endpoints, context)) or "no node has a usable speaker"


def _bgp_candidates(
    service: Service, endpoints: ServiceEndpoints, cluster: layer2.Cluster
) -> list[str]:
    """Return the nodes that may advertise a service over BGP, sorted."""
    if not endpoints.usable:
        return []
    local = service.spec.external_traffic_policy == LOCAL
    return sorted(cluster.announcing & endpoints.nodes if local else cluster.announcing)


def _no_peer(
    announcement: Announcement | None,
    service: Service,
    endpoints: ServiceEndpoints | None,
    context: DecisionContext,
    reach: Reach,
) -> str:
    """Return a message that names the addresses for which no node has a BGP peer; else empty."""
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
    names = listed(candidates, MAX_NODES, "nodes")
    lacking = " and ".join(map(str, left))
    return f"{names}: no BGP peer for {lacking}, by the selectors and families of peers and pool"


def _each_reason(
    service: Service, endpoints: ServiceEndpoints, context: DecisionContext
) -> Iterator[str]:
    """Yield the reasons of the first MAX_NODES nodes, and the number of the rest."""
    names = sorted(context.cluster.usable_speakers)
    reasons: dict[str, list[str]] = {}
    for name in names[:MAX_NODES]:
        verdict = decide(service, endpoints, replace(context, node=name)).verdict
        reasons.setdefault(f"{verdict.reason}: {verdict.detail}", []).append(name)
    for reason, nodes in reasons.items():
        yield f"{', '.join(nodes)}: {reason}"
    yield from and_more(len(names) - MAX_NODES, "nodes")
