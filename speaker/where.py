"""Where a service is announced: by which nodes, or why by none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metallb_py.config.model import Config, Protocol
from metallb_py.config.routes import Offer, names_in, routes_for
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from speaker.bgp.peering import peering_for
from speaker.decision import MAX_NODES, Announcement, Surroundings, decide, why_unannounced
from speaker.layer2.eligibility import UNKNOWN, Cluster

NO_SPEAKER = "no node has a usable speaker"
NO_PEER = "no BGP peer is configured"


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
    """The nodes that announce a service: on layer 2 the elected one, over BGP each that has a peer.

    ``why`` is the reason where no node does, and where one does, how layer 2 elected it.
    """

    nodes: tuple[str, ...]
    protocol: Protocol | None
    why: str


def where(service: Service, view: View) -> Where:
    """Return where a service with an address is announced."""
    endpoints = view.endpoints.get(service.key)
    nodes: list[str] = []
    without_peer: list[str] = []
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
        (nodes if _has_peer(decision.announcement, context) else without_peer).append(name)
    if nodes:
        return Where(tuple(nodes), protocol, "")
    if without_peer:
        return Where((), protocol, _no_peer(without_peer, view.config))
    why = why_unannounced(service, endpoints, context, decision)
    return Where((), protocol, why or NO_SPEAKER)


def _has_peer(announcement: Announcement, context: Surroundings) -> bool:
    """Whether a node advertises any route for this announcement to any peer."""
    labels = context.cluster.nodes.get(context.node, UNKNOWN).labels
    advertisements = announcement.pool.bgp_advertisements
    here = tuple(each for each in advertisements if each.selects(labels))
    offer = Offer(announcement.addresses, here, announcement.local_endpoints)
    audiences = peering_for(context.config.peers, labels, names_in(here)).audiences
    return any(routes_for((offer,), audience) for audience in set(audiences.values()))


def _no_peer(nodes: list[str], config: Config) -> str:
    if not config.peers:
        return NO_PEER
    more = len(nodes) - MAX_NODES
    names = ", ".join(nodes[:MAX_NODES]) + (f" and {more} more nodes" if more > 0 else "")
    return f"{names}: no BGP peer is selected by the peers' and advertisements' selectors"
