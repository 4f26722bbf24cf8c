"""Whether this node answers for a service's addresses on layer 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from metallb_py.addresses import IPAddress, go_quote_list
from metallb_py.config.model import Pool
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.verdict import Checks, Verdict
from speaker.layer2.election import ranked
from speaker.layer2.wires import Wire, has_interface_for, reached

NOT_OWNER = "notOwner"
ELECTION = "election"
"""The check that another node won."""
SUBNET = "subnet"
"""The check that fails without deciding where no candidate is on the addresses' subnet."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known of a node. Without ``wires`` it counts as being on every subnet.

    ``excluded`` says why it takes no part, and is empty where it does.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    excluded: str = ""
    wires: tuple[Wire, ...] | None = None


UNKNOWN = NodeState()


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes as this one sees them: which have a usable speaker, and what is known of them.

    With ``any_interface`` it does not matter on which subnets they are (MetalLB).
    """

    usable_speakers: frozenset[str] = frozenset()
    nodes: Mapping[str, NodeState] = field(default_factory=dict)
    any_interface: bool = False

    def state(self, node: str) -> NodeState:
        """Return what is known of a node."""
        return self.nodes.get(node, UNKNOWN)


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
    select are left out, and then those that are not on the addresses' subnet, unless no node is.
    """
    checks = Checks()
    endpoints = claim.endpoints
    if not endpoints.usable:
        return checks.failed("endpoints", NOT_OWNER, "no usable endpoint on any node")
    checks.passed("endpoints", f"{endpoints.usable} usable")
    candidates = set(cluster.usable_speakers)
    if claim.local:
        # Nodes whose endpoints are about to end are left while these still serve.
        candidates &= (endpoints.nodes - endpoints.leaving) or endpoints.nodes
    if not candidates:
        where = " and a usable endpoint" if claim.local else ""
        return checks.failed("candidates", NOT_OWNER, f"no node has a usable speaker{where}")
    unfit = {name: why for name in candidates if (why := _unfit(claim.pool, cluster.state(name)))}
    candidates -= unfit.keys()
    if not candidates:
        told = "; ".join(f"{name}: {why}" for name, why in sorted(unfit.items()))
        return checks.failed("candidates", NOT_OWNER, f"no node is left: {told}")
    checks.passed("candidates", ", ".join(sorted(candidates)))
    if not cluster.any_interface:
        candidates = _on_subnet(claim, candidates, cluster, checks)
    order = ranked(claim.addresses[0], candidates)
    if order[0] != node:
        return checks.failed(ELECTION, NOT_OWNER, f"{order[0]} is first of {', '.join(order)}")
    checks.passed(ELECTION, f"first of {', '.join(order)}")
    return checks.all_passed()


def _unfit(pool: Pool, state: NodeState) -> str:
    """Return why a node is out of the question; nothing where it is not."""
    if state.excluded:
        return state.excluded
    if not pool.selects(state.labels):
        return f'pool "{pool.name}" does not select it'
    if state.wires is not None and not has_interface_for(state.wires, pool):
        return f'it has no interface of pool "{pool.name}"'
    return ""


def _on_subnet(
    claim: Claim, candidates: Iterable[str], cluster: Cluster, checks: Checks
) -> set[str]:
    """Return the candidates that are on the subnet of the most addresses."""
    addresses = claim.addresses
    counts = {
        name: len(addresses) if wires is None else reached(wires, claim.pool, addresses)
        for name in candidates
        for wires in (cluster.state(name).wires,)
    }
    most = max(counts.values())
    found = {name for name, count in counts.items() if count == most}
    if most < len(addresses):
        what = "all of " if most else ""
        checks.refused(SUBNET, f"no node is on the subnet of {what}{go_quote_list(addresses)}")
    else:
        checks.passed(SUBNET, ", ".join(sorted(found)))
    return found
