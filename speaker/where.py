"""Nodes that announce a service, computed from the cluster's state, or the reason why none does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Protocol
from speaker.bgp.reach import Reach
from speaker.decision import Announcement, DecisionContext, decide, why_unannounced
from speaker.layer2.eligibility import UNKNOWN, Cluster

NO_SPEAKER = "no node has a usable speaker"


@dataclass(frozen=True, slots=True)
class View:
    """The inputs that all speakers share: services, endpoints, nodes and configuration."""

    services: tuple[Service, ...]
    endpoints: Mapping[str, ServiceEndpoints]
    cluster: Cluster
    config: Config

    def node_of(self, mac: str) -> str:
        """Return the node that has an interface with this MAC address; empty if none has."""
        for name, state in self.cluster.nodes.items():
            if any(interface.mac == mac for interface in state.interfaces or ()):
                return name
        return ""


@dataclass(frozen=True, slots=True)
class Where:
    """The nodes that announce a service: on layer 2 the owner, over BGP each node with a peer.

    ``why`` is the reason if no node announces it; else the outcome of the layer 2 election, or
    the addresses for which no node has a BGP peer.
    """

    nodes: tuple[str, ...]
    protocol: Protocol | None
    why: str


def where(service: Service, view: View) -> Where:
    """Return the nodes that announce a service with an address."""
    endpoints = view.endpoints.get(service.key)
    reach = Reach(view.config.peers)
    nodes: list[str] = []
    context = DecisionContext("", view.cluster, view.config)
    decision = decide(service, endpoints, context)
    protocol = decision.protocol
    for name in sorted(view.cluster.usable_speakers):
        context = DecisionContext(name, view.cluster, view.config)
        decision = decide(service, endpoints, context)
        if decision.announcement is None:
            continue
        if protocol is Protocol.LAYER2:
            return Where((name,), protocol, decision.verdict.detail)
        if _has_peer(decision.announcement, context, reach):
            nodes.append(name)
    why = why_unannounced(service, endpoints, context, decision, reach)
    return Where(tuple(nodes), protocol, why if nodes else why or NO_SPEAKER)


def _has_peer(announcement: Announcement, context: DecisionContext, reach: Reach) -> bool:
    """Whether a node advertises any of the addresses to any peer."""
    labels = context.cluster.nodes.get(context.node, UNKNOWN).labels
    return any(
        reach.has_peer(address, announcement.pool, context.node, labels)
        for address in announcement.addresses
    )
