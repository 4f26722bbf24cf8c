"""Decision whether a node answers for a service's addresses on layer 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.addresses import IPAddress, IPNetwork, go_quote_list
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.model.config import Pool
from metallb_py.model.selectors import LabelSelector
from metallb_py.printable import listed
from metallb_py.verdict import Checks, Verdict
from speaker.layer2.election import ranked
from speaker.layer2.topology import NodeInterface, has_interface_for, reached, subnets_for

NOT_OWNER = "notOwner"
MAX_NAMED = 5
"""Number of candidates named in a message."""
ELECTION = "election"
"""Name of the check that fails if another node is elected."""
SUBNET = "subnet"
"""Name of the check for candidates on the addresses' subnet; its failure does not decide."""


LABELED = "nodeLabeledExcludeBalancers"
NETWORK_UNAVAILABLE = "nodeNetworkUnavailable"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Reason why a node announces nothing. ``reason`` is MetalLB's token (0.14.2)."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """State of a node, as known to the speaker."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the Node object."""
    excluded: Exclusion | None = None
    """Why the node must not announce; None if it may."""
    leaving: bool = False
    """Whether the node is being drained: it is a candidate only if there is no other."""
    interfaces: tuple[NodeInterface, ...] | None = None
    """Interfaces that its speaker published; None counts as being on every subnet."""
    addresses: frozenset[IPAddress] = frozenset()
    """Addresses of the Node object."""

    @property
    def own_addresses(self) -> frozenset[IPAddress]:
        """The known addresses for which the node's kernel answers."""
        return self.addresses.union(*(each.addresses for each in self.interfaces or ()))


UNKNOWN = NodeState()
_PoolKey = tuple[str, tuple[str, ...], tuple[LabelSelector, ...]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster's nodes, as seen by one of them."""

    usable_speakers: frozenset[str] = frozenset()
    """Names of the nodes with a usable speaker."""
    nodes: Mapping[str, NodeState] = field(default_factory=dict)
    """State of each node, by name."""
    any_interface: bool = False
    """Whether to ignore on which subnets the nodes are (MetalLB)."""
    # Computed once for a pool, for all of its services.
    _candidates: dict[_PoolKey, PoolCandidates] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )
    _hosts: dict[IPAddress, str] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    announcing: frozenset[str] = field(init=False, default=frozenset(), compare=False, repr=False)
    """The nodes with a usable speaker that are not excluded."""

    def __post_init__(self) -> None:
        excluded = {name for name, state in self.nodes.items() if state.excluded is not None}
        object.__setattr__(self, "announcing", self.usable_speakers - excluded)
        for name, state in self.nodes.items():
            self._hosts.update(dict.fromkeys(state.own_addresses, name))

    def host_of(self, address: IPAddress) -> str:
        """Return the node that has an address as its own; empty if none has."""
        return self._hosts.get(address, "")

    def candidates_for(self, pool: Pool) -> PoolCandidates:
        """Return the nodes with a usable speaker, sorted out for a pool."""
        key = (pool.name, pool.interfaces, pool.node_selectors)
        if key not in self._candidates:
            states = {name: self.nodes.get(name, UNKNOWN) for name in self.usable_speakers}
            self._candidates[key] = PoolCandidates.of(states, pool)
        return self._candidates[key]


@dataclass(frozen=True, slots=True)
class PoolCandidates:
    """Nodes with a usable speaker, divided by whether they may answer for a pool."""

    eligible: frozenset[str]
    """Nodes that may answer for the pool."""
    leaving: frozenset[str]
    """Those of them that answer only if no other node can."""
    by_subnets: Mapping[frozenset[IPNetwork] | None, frozenset[str]]
    """The eligible nodes by the set of their subnets; None for nodes that published none."""
    rejected: Mapping[str, str]
    """The other nodes, each with the reason."""

    @classmethod
    def of(cls, states: Mapping[str, NodeState], pool: Pool) -> PoolCandidates:
        """Divide nodes for a pool."""
        rejected = {name: why for name, state in states.items() if (why := _rejection(pool, state))}
        groups: dict[frozenset[IPNetwork] | None, set[str]] = {}
        for name, state in states.items():
            if name not in rejected:
                subnets = None if state.interfaces is None else subnets_for(state.interfaces, pool)
                groups.setdefault(subnets, set()).add(name)
        by_subnets = {subnets: frozenset(names) for subnets, names in groups.items()}
        eligible = frozenset(states.keys() - rejected.keys())
        leaving = frozenset(name for name in eligible if states[name].leaving)
        return cls(eligible, leaving, by_subnets, rejected)


@dataclass(frozen=True, slots=True)
class AnnouncementRequest:
    """The addresses of a service, to be announced by one node, and what the decision needs.

    The election uses the first address. ``pool`` contains the addresses. ``local``: the service
    has ``externalTrafficPolicy: Local``.
    """

    addresses: tuple[IPAddress, ...]
    pool: Pool
    endpoints: ServiceEndpoints
    local: bool = False


def eligible(request: AnnouncementRequest, node: str, cluster: Cluster) -> Verdict:
    """Decide whether ``node`` answers for the addresses.

    Candidates are the nodes with a usable speaker; with ``externalTrafficPolicy: Local`` only those
    that also have a usable endpoint. Of these, nodes that are excluded or that the pool does not
    select are left out, then those that are not on the addresses' subnet, unless no node is, and
    last those that are being drained, unless all are.
    """
    checks = Checks()
    endpoints = request.endpoints
    if not endpoints.usable:
        return checks.failed("endpoints", NOT_OWNER, "no usable endpoint on any node")
    checks.passed("endpoints", f"{endpoints.usable} usable")
    possible = cluster.usable_speakers
    if request.local:
        # Addresses move away from nodes whose endpoints terminate, while those still serve.
        possible &= (endpoints.nodes - endpoints.leaving) or endpoints.nodes
    if not possible:
        where = " and a usable endpoint" if request.local else ""
        return checks.failed("candidates", NOT_OWNER, f"no node has a usable speaker{where}")
    nodes = cluster.candidates_for(request.pool)
    candidates = possible & nodes.eligible
    if not candidates:
        reasons = "; ".join(f"{name}: {nodes.rejected[name]}" for name in sorted(possible))
        return checks.failed("candidates", NOT_OWNER, f"no node is left: {reasons}")
    checks.passed("candidates", f"{len(candidates)} of {len(possible)} nodes")
    if not cluster.any_interface:
        candidates = _on_subnet(request.addresses, candidates, nodes, checks)
    candidates = (candidates - nodes.leaving) or candidates
    order = ranked(request.addresses[0], candidates)
    first = listed(order, MAX_NAMED)
    if order[0] != node:
        return checks.failed(ELECTION, NOT_OWNER, f"{order[0]} is first of {first}")
    checks.passed(ELECTION, f"first of {first}")
    return checks.all_passed()


def _rejection(pool: Pool, state: NodeState) -> str:
    """Return why a node may not answer for a pool; empty if it may."""
    if state.excluded is not None:
        return state.excluded.detail
    if not pool.selects(state.labels):
        return f'pool "{pool.name}" does not select it'
    if state.interfaces is not None and not has_interface_for(state.interfaces, pool):
        return f'it has no interface of pool "{pool.name}"'
    return ""


def _on_subnet(
    addresses: tuple[IPAddress, ...],
    candidates: frozenset[str],
    nodes: PoolCandidates,
    checks: Checks,
) -> frozenset[str]:
    """Return the candidates that are on the subnets of the largest number of the addresses."""
    best, found = -1, frozenset[str]()
    for subnets, names in nodes.by_subnets.items():
        here = names & candidates
        count = len(addresses) if subnets is None else reached(subnets, addresses)
        if here and count >= best:
            found = here | (found if count == best else frozenset())
            best = count
    if best < len(addresses):
        what = "all of " if best else ""
        checks.refused(SUBNET, f"no node is on the subnet of {what}{go_quote_list(addresses)}")
    else:
        checks.passed(SUBNET, f"{len(found)} nodes")
    return found
