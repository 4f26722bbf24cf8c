"""Whether this node answers for a service's addresses on layer 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.addresses import IPAddress, IPNetwork, go_quote_list
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.model.config import Pool
from metallb_py.model.selectors import LabelSelector
from metallb_py.verdict import Checks, Verdict
from speaker.layer2.election import ranked
from speaker.layer2.topology import Wire, has_interface_for, reached, subnets_for

NOT_OWNER = "notOwner"
MAX_TOLD = 5
ELECTION = "election"
"""The check that another node won."""
SUBNET = "subnet"
"""The check that fails without deciding where no candidate is on the addresses' subnet."""


LABELED = "nodeLabeledExcludeBalancers"
NETWORK_UNAVAILABLE = "nodeNetworkUnavailable"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a node announces nothing. ``reason`` is MetalLB's token (0.14.2)."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known of a node.

    ``excluded`` is None where it may announce. One that is ``leaving`` takes part only where no
    other node can. Without ``wires`` it counts as being on every subnet. ``addresses`` are those of
    the Node object.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    excluded: Exclusion | None = None
    leaving: bool = False
    wires: tuple[Wire, ...] | None = None
    addresses: frozenset[IPAddress] = frozenset()

    @property
    def own_addresses(self) -> frozenset[IPAddress]:
        """The known addresses that the node's own kernel answers for."""
        return self.addresses.union(*(wire.addresses for wire in self.wires or ()))


UNKNOWN = NodeState()
_PoolKey = tuple[str, tuple[str, ...], tuple[LabelSelector, ...]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes as this one sees them: which have a usable speaker, and what is known of them.

    With ``any_interface`` it does not matter on which subnets they are (MetalLB).
    """

    usable_speakers: frozenset[str] = frozenset()
    nodes: Mapping[str, NodeState] = field(default_factory=dict)
    any_interface: bool = False
    # What is found out of a pool serves all of its services.
    _fields: dict[_PoolKey, Field] = field(
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
        """Return the node that has an address as its own; empty where none has."""
        return self._hosts.get(address, "")

    def field_of(self, pool: Pool) -> Field:
        """Return the nodes with a usable speaker, as this pool sees them."""
        key = (pool.name, pool.interfaces, pool.node_selectors)
        if key not in self._fields:
            states = {name: self.nodes.get(name, UNKNOWN) for name in self.usable_speakers}
            self._fields[key] = Field.of(states, pool)
        return self._fields[key]


@dataclass(frozen=True, slots=True)
class Field:
    """The nodes that may answer for a pool, by the subnets that they are on, and the others.

    The subnets are None where a node does not say on which it is.
    """

    fit: frozenset[str]
    leaving: frozenset[str]
    by_subnets: Mapping[frozenset[IPNetwork] | None, frozenset[str]]
    unfit: Mapping[str, str]

    @classmethod
    def of(cls, states: Mapping[str, NodeState], pool: Pool) -> Field:
        """Sort out these nodes for a pool."""
        unfit = {name: why for name, state in states.items() if (why := _unfit(pool, state))}
        groups: dict[frozenset[IPNetwork] | None, set[str]] = {}
        for name, state in states.items():
            if name not in unfit:
                subnets = None if state.wires is None else subnets_for(state.wires, pool)
                groups.setdefault(subnets, set()).add(name)
        by_subnets = {subnets: frozenset(names) for subnets, names in groups.items()}
        fit = frozenset(states.keys() - unfit.keys())
        leaving = frozenset(name for name in fit if states[name].leaving)
        return cls(fit, leaving, by_subnets, unfit)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be answered for: a service's addresses, of this pool. The first one decides.

    ``local``: its ``externalTrafficPolicy`` is Local.
    """

    addresses: tuple[IPAddress, ...]
    pool: Pool
    endpoints: ServiceEndpoints
    local: bool = False


def eligible(claim: Claim, node: str, cluster: Cluster) -> Verdict:
    """Decide for one node.

    Candidates are the nodes with a usable speaker; with ``externalTrafficPolicy: Local`` only those
    that also have a usable endpoint. Of these, nodes that are excluded or that the pool does not
    select are left out, then those that are not on the addresses' subnet, unless no node is, and in
    the end those that are about to be drained, unless all are.
    """
    checks = Checks()
    endpoints = claim.endpoints
    if not endpoints.usable:
        return checks.failed("endpoints", NOT_OWNER, "no usable endpoint on any node")
    checks.passed("endpoints", f"{endpoints.usable} usable")
    possible = cluster.usable_speakers
    if claim.local:
        # Nodes whose endpoints are about to end are left while these still serve.
        possible &= (endpoints.nodes - endpoints.leaving) or endpoints.nodes
    if not possible:
        where = " and a usable endpoint" if claim.local else ""
        return checks.failed("candidates", NOT_OWNER, f"no node has a usable speaker{where}")
    nodes = cluster.field_of(claim.pool)
    candidates = possible & nodes.fit
    if not candidates:
        told = "; ".join(f"{name}: {nodes.unfit[name]}" for name in sorted(possible))
        return checks.failed("candidates", NOT_OWNER, f"no node is left: {told}")
    checks.passed("candidates", f"{len(candidates)} of {len(possible)} nodes")
    if not cluster.any_interface:
        candidates = _on_subnet(claim.addresses, candidates, nodes, checks)
    candidates = (candidates - nodes.leaving) or candidates
    order = ranked(claim.addresses[0], candidates)
    if order[0] != node:
        return checks.failed(ELECTION, NOT_OWNER, f"{order[0]} is first of {_in_brief(order)}")
    checks.passed(ELECTION, f"first of {_in_brief(order)}")
    return checks.all_passed()


def _unfit(pool: Pool, state: NodeState) -> str:
    """Return why a node is out of the question; nothing where it is not."""
    if state.excluded is not None:
        return state.excluded.detail
    if not pool.selects(state.labels):
        return f'pool "{pool.name}" does not select it'
    if state.wires is not None and not has_interface_for(state.wires, pool):
        return f'it has no interface of pool "{pool.name}"'
    return ""


def _on_subnet(
    addresses: tuple[IPAddress, ...], candidates: frozenset[str], nodes: Field, checks: Checks
) -> frozenset[str]:
    """Return the candidates that are on the subnet of the most addresses."""
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


def _in_brief(order: tuple[str, ...]) -> str:
    """Return the first few of the order; who is further behind has nothing to expect."""
    more = len(order) - MAX_TOLD
    return ", ".join(order[:MAX_TOLD]) + (f" and {more} more" if more > 0 else "")
