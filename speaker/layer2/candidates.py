"""What the API server's objects say of a node as a candidate on layer 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from metallb_py.kube.objects import Node, Pod
from speaker.layer2.eligibility import LABELED, NETWORK_UNAVAILABLE, Exclusion, NodeState
from speaker.layer2.topology import ANNOTATION, Wire, decode

SPEAKER_LABELS = "app=metallb,component=speaker"
"""Of the speakers' pods, in MetalLB's manifests and ours."""
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"


@dataclass(frozen=True, slots=True)
class Rules:
    """Which nodes take no part. With ``drain_on_cordon`` those that are cordoned, if others can."""

    ignore_exclude_label: bool = False
    drain_on_cordon: bool = False


DEFAULT = Rules()


def node_states(
    nodes: Mapping[str, Node],
    pods: Iterable[Pod],
    rules: Rules = DEFAULT,
    told: Mapping[str, tuple[Wire, ...]] | None = None,
) -> dict[str, NodeState]:
    """Return what is known of each node, from its Node object and its speaker.

    ``told`` are the wires of nodes whose speakers told them to this one; of the others their pods
    tell.
    """
    wires = {**_wires(pods), **(told or {})}
    return {
        name: NodeState(
            labels=node.metadata.labels or {},
            excluded=exclusion(node, rules),
            addresses=node.ip_addresses,
            leaving=rules.drain_on_cordon and node.spec.unschedulable,
            wires=wires.get(name),
        )
        for name, node in nodes.items()
    }


def pod_of(node: str, pods: Iterable[Pod]) -> Pod | None:
    """Return the pod of a node's speaker: the youngest, where one takes over from another."""
    found = [pod for pod in pods if pod.spec.node_name == node]
    return max(found, key=_age, default=None)


def _wires(pods: Iterable[Pod]) -> dict[str, tuple[Wire, ...]]:
    youngest: dict[str, Pod] = {}
    for pod in pods:
        other = youngest.get(pod.spec.node_name)
        if other is None or _age(pod) >= _age(other):
            youngest[pod.spec.node_name] = pod
    said = {name: _read(pod.metadata.annotation(ANNOTATION)) for name, pod in youngest.items()}
    return {name: wires for name, wires in said.items() if wires is not None}


# The same few texts are read again at every change of any node. What is kept is bounded: a text
# has up to 16 KiB.
_read = lru_cache(maxsize=1024)(decode)


def _age(pod: Pod) -> str:
    return pod.metadata.creation_timestamp or ""


def exclusion(node: Node, rules: Rules) -> Exclusion | None:
    """Return why a node announces nothing (the rules of Kubernetes' own load balancers); or None.

    As MetalLB since 0.14.2, in layer 2 and BGP alike.
    """
    if not rules.ignore_exclude_label and EXCLUDE_LABEL in (node.metadata.labels or {}):
        return Exclusion(LABELED, f"it has the label {EXCLUDE_LABEL}")
    conditions = node.status.conditions or ()
    if any(c.type == "NetworkUnavailable" and c.status == "True" for c in conditions):
        return Exclusion(NETWORK_UNAVAILABLE, "its network is unavailable")
    return None
