"""What the end of a speaker means for its BGP sessions: a restart, or that its node is left."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from metallb_py.kube.objects import Node
from speaker.layer2.candidates import Rules, exclusion

DRAIN_TIME = 1.0
"""Seconds. Fits into the two that MetalLB's manifests leave a pod to end."""

_LEAVING_TAINTS = frozenset(
    {
        "node.cloudprovider.kubernetes.io/shutdown",
        "node.kubernetes.io/out-of-service",
        "ToBeDeletedByClusterAutoscaler",
    }
)
"""Of nodes that shut down or go (Kubernetes' well-known taints, and the cluster autoscaler's)."""

_SHUTTING_DOWN = "node is shutting down"
"""In the message of the condition Ready, while the kubelet ends a node's pods."""


class OnStop(StrEnum):
    """What a stop signal means, in the flag's words."""

    AUTO = "auto"
    RESTART = "restart"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Parting:
    """How to part from BGP peers, and why, in words that they may read.

    With ``routes_stay`` those that agreed to graceful restart keep the routes until this speaker
    is back; all others are drained.
    """

    routes_stay: bool
    why: str


def parting_of(on_stop: OnStop, node: Node | None, rules: Rules) -> Parting:
    """Decide, by what is known of this node; None where that is nothing."""
    match on_stop:
        case OnStop.RESTART:
            return Parting(routes_stay=True, why="speaker restarts")
        case OnStop.DRAIN:
            return Parting(routes_stay=False, why="speaker ends")
        case OnStop.AUTO:
            leaving = _leaving(node, rules) if node is not None else ""
            return Parting(routes_stay=not leaving, why=leaving or "speaker restarts")


def _leaving(node: Node, rules: Rules) -> str:
    """Return why nothing is to come to this node any more; or nothing."""
    if node.metadata.deletion_timestamp:
        return "node is deleted"
    if node.spec.unschedulable:
        return "node is cordoned"
    if exclusion(node, rules):
        return "node is excluded from load balancing"
    if any(_SHUTTING_DOWN in c.message for c in node.status.conditions or () if c.type == "Ready"):
        return "node shuts down"
    if any(taint.key in _LEAVING_TAINTS for taint in node.spec.taints or ()):
        return "node shuts down"
    return ""
