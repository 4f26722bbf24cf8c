"""Mode in which BGP sessions end when the speaker does: graceful restart or drain."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from metallb_py.kube.objects import Node
from speaker.layer2.candidates import Rules, exclusion

DRAIN_TIME = 1.0
"""Seconds between GRACEFUL_SHUTDOWN and withdrawal (``--drain-time``).

It fits into the 2 s that MetalLB's manifests give a pod to terminate.
"""

_LEAVING_TAINTS = frozenset(
    {
        "node.cloudprovider.kubernetes.io/shutdown",
        "node.kubernetes.io/out-of-service",
        "ToBeDeletedByClusterAutoscaler",
    }
)
"""Taints of nodes that shut down or are removed: Kubernetes' well-known ones, and that of the
cluster autoscaler."""

_SHUTTING_DOWN = "node is shutting down"
"""Text in the message of the condition Ready while the kubelet terminates a node's pods."""


class OnStop(StrEnum):
    """Meaning of a stop signal; the values are those of the flag ``--on-stop``."""

    AUTO = "auto"
    RESTART = "restart"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class ShutdownMode:
    """Mode in which the BGP sessions end. ``why`` is the reason as text, also for the peers.

    With ``graceful_restart`` the peers that agreed to graceful restart keep the routes until this
    speaker is back; all other sessions are drained.
    """

    graceful_restart: bool
    why: str


def shutdown_mode(on_stop: OnStop, node: Node | None, rules: Rules) -> ShutdownMode:
    """Return the mode for a node; ``node`` is None where its object has not been read."""
    match on_stop:
        case OnStop.RESTART:
            return ShutdownMode(graceful_restart=True, why="speaker restarts")
        case OnStop.DRAIN:
            return ShutdownMode(graceful_restart=False, why="speaker ends")
        case OnStop.AUTO:
            leaving = _leaving(node, rules) if node is not None else ""
            return ShutdownMode(graceful_restart=not leaving, why=leaving or "speaker restarts")


def _leaving(node: Node, rules: Rules) -> str:
    """Return the reason why this node is to get no more traffic; empty where there is none."""
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
