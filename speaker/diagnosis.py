"""Diagnosis from the cluster's state: which nodes announce a service, and which hosts answer.

It compares the hosts that answer for an address on layer 2 with the node that should.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from metallb_py.addresses import IPAddress
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Protocol
from speaker.bgp.eligibility import Reach
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


@dataclass(frozen=True, slots=True)
class Expected:
    """The node that should answer, empty for no node, and the reason.

    ``services`` are the keys of the services that hold the address.
    """

    node: str = ""
    services: tuple[str, ...] = ()
    why: str = ""


class AnswererStatus(StrEnum):
    """Assessment of a host that answers."""

    ELECTED = "elected"
    NOT_ELECTED = "not elected"
    UNKNOWN_HOST = "no node with a speaker"


@dataclass(frozen=True, slots=True)
class Answer:
    """A host that answers for the address; ``node`` is empty if no node has its MAC address."""

    mac: str
    node: str
    status: AnswererStatus


@dataclass(frozen=True, slots=True)
class Finding:
    """The expected answerer of an address, and the hosts that answered."""

    address: IPAddress
    expected: Expected
    answers: tuple[Answer, ...]

    @property
    def is_right(self) -> bool:
        """Whether exactly one host answers, and it is the elected node."""
        return [answer.status for answer in self.answers] == [AnswererStatus.ELECTED]


def expected(address: IPAddress, view: View) -> Expected:
    """Return which node should answer for an address, and why."""
    holders = [service for service in view.services if address in service.status_addresses]
    keys = tuple(service.key for service in holders)
    if not holders:
        return Expected(why="no service has this address")
    pool = view.config.pool_of((address,))
    if pool is not None and pool.protocol is not Protocol.LAYER2:
        return Expected("", keys, f'its pool "{pool.name}" is announced by {pool.protocol}')
    why = ""
    for service in holders:
        found = where(service, view)
        if found.nodes:
            return Expected(found.nodes[0], keys, found.why)
        why = found.why
    return Expected("", keys, why)


def find(address: IPAddress, macs: Iterable[str], view: View) -> Finding:
    """Compare the MAC addresses that answered with the node that should answer."""
    due = expected(address, view)
    answers = []
    for mac in sorted(set(macs)):
        node = view.node_of(mac)
        status = AnswererStatus.UNKNOWN_HOST
        if node:
            status = AnswererStatus.ELECTED if node == due.node else AnswererStatus.NOT_ELECTED
        answers.append(Answer(mac, node, status))
    return Finding(address, due, tuple(answers))
