"""Where a service is announced: by which nodes, or why by none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Protocol
from speaker.bgp.reach import Reach
from speaker.decision import Announcement, Surroundings, decide, why_unannounced
from speaker.layer2.eligibility import UNKNOWN, Cluster

NO_SPEAKER = "no node has a usable speaker"


@dataclass(frozen=True, slots=True)
class View:
    """The cluster as every speaker sees it."""

    services: tuple[Service, ...]
    endpoints: Mapping[str, ServiceEndpoints]
    cluster: Cluster
    config: Config

    def node_of(self, mac: str) -> str:
        """Return the node that has an interface with this MAC address; empty where none has."""
        for name, state in self.cluster.nodes.items():
            if any(wire.mac == mac for wire in state.wires or ()):
                return name
        return ""


@dataclass(frozen=True, slots=True)
class Where:
    """The nodes that announce a service: on layer 2 the elected one, over BGP each with a peer.

    ``why`` is the reason where no node does. Where one does, it is how layer 2 elected it, or which
    of the addresses no node has a BGP peer for.
    """

    nodes: tuple[str, ...]
    protocol: Protocol | None
    why: str


def where(service: Service, view: View) -> Where:
    """Return where a service with an address is announced."""
    endpoints = view.endpoints.get(service.key)
    reach = Reach(view.config.peers)
    nodes: list[str] = []
    context = Surroundings("", view.cluster, view.config)
    decision = decide(service, endpoints, context)
    protocol = decision.protocol
    for name in sorted(view.cluster.usable_speakers):
        context = Surroundings(name, view.cluster, view.config)
        decision = decide(service, endpoints, context)
        if decision.announcement is None:
            continue
        if protocol is Protocol.LAYER2:
            return Where((name,), protocol, decision.verdict.detail)
        if _has_peer(decision.announcement, context, reach):
            nodes.append(name)
    why = why_unannounced(service, endpoints, context, decision, reach)
    return Where(tuple(nodes), protocol, why if nodes else why or NO_SPEAKER)


def _has_peer(announcement: Announcement, context: Surroundings, reach: Reach) -> bool:
    """Whether a node advertises any of the addresses to any peer."""
    labels = context.cluster.nodes.get(context.node, UNKNOWN).labels
    return any(
        reach.has_peer(address, announcement.pool, context.node, labels)
        for address in announcement.addresses
    )
