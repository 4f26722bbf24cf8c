"""Node states from Node objects, speaker pods and gossip: candidates for announcements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from metallb_py.kube.objects import Node, Pod
from speaker.layer2.eligibility import LABELED, NETWORK_UNAVAILABLE, Exclusion, NodeState
from speaker.layer2.topology import ANNOTATION, NodeInterface, decode

SPEAKER_LABELS = "app=metallb,component=speaker"
"""Label selector of the speakers' pods, in MetalLB's manifests and ours."""
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by which nodes do not announce."""

    ignore_exclude_label: bool = False
    """Whether nodes with EXCLUDE_LABEL announce all the same."""
    drain_on_cordon: bool = False
    """Whether cordoned nodes are candidates on layer 2 only if there are no others."""


DEFAULT = Rules()


def node_states(
    nodes: Mapping[str, Node],
    pods: Iterable[Pod],
    rules: Rules = DEFAULT,
    gossiped: Mapping[str, tuple[NodeInterface, ...]] | None = None,
) -> dict[str, NodeState]:
    """Return the state of each node, from its Node object and its speaker.

    ``gossiped`` holds the interfaces that other speakers sent by gossip. For the rest of the nodes
    the annotation of the speaker's pod counts.
    """
    interfaces = {**_interfaces(pods), **(gossiped or {})}
    return {
        name: NodeState(
            labels=node.metadata.labels or {},
            excluded=exclusion(node, rules),
            addresses=node.ip_addresses,
            leaving=rules.drain_on_cordon and node.spec.unschedulable,
            interfaces=interfaces.get(name),
        )
        for name, node in nodes.items()
    }


def pod_of(node: str, pods: Iterable[Pod]) -> Pod | None:
    """Return the pod of a node's speaker; the youngest, if one replaces another."""
    found = [pod for pod in pods if pod.spec.node_name == node]
    return max(found, key=_age, default=None)


def _interfaces(pods: Iterable[Pod]) -> dict[str, tuple[NodeInterface, ...]]:
    youngest: dict[str, Pod] = {}
    for pod in pods:
        other = youngest.get(pod.spec.node_name)
        if other is None or _age(pod) >= _age(other):
            youngest[pod.spec.node_name] = pod
    read = {name: _read(pod.metadata.annotation(ANNOTATION)) for name, pod in youngest.items()}
    return {name: interfaces for name, interfaces in read.items() if interfaces is not None}


# The same few texts are decoded again after every change of any node. The cache is bounded, since
# a text has up to 16 KiB.
_read = lru_cache(maxsize=1024)(decode)


def _age(pod: Pod) -> str:
    return pod.metadata.creation_timestamp or ""


def exclusion(node: Node, rules: Rules) -> Exclusion | None:
    """Return why a node must not announce; None if it may.

    By the rules of Kubernetes' own load balancers, as MetalLB since 0.14.2, on layer 2 and over
    BGP alike.
    """
    if not rules.ignore_exclude_label and EXCLUDE_LABEL in (node.metadata.labels or {}):
        return Exclusion(LABELED, f"it has the label {EXCLUDE_LABEL}")
    conditions = node.status.conditions or ()
    if any(c.type == "NetworkUnavailable" and c.status == "True" for c in conditions):
        return Exclusion(NETWORK_UNAVAILABLE, "its network is unavailable")
    return None
