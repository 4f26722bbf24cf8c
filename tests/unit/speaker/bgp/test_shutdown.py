"""Shutdown mode of the speaker: drain, or graceful restart."""

from __future__ import annotations

import pytest

from metallb_py.kube.objects import Node, NodeCondition, NodeSpec, NodeStatus, ObjectMeta, Taint
from speaker.bgp.shutdown import OnStop, ShutdownMode, shutdown_mode
from speaker.layer2.candidates import EXCLUDE_LABEL, Rules

PLAIN = ObjectMeta(name="a")
CORDONED = Node(metadata=PLAIN, spec=NodeSpec(unschedulable=True))
EXCLUDED = Node(metadata=ObjectMeta(name="a", labels={EXCLUDE_LABEL: ""}))
NO_RULES = Rules()


def condition(message: str) -> Node:
    conditions = (NodeCondition("Ready", "False", message),)
    return Node(metadata=PLAIN, status=NodeStatus(conditions=conditions))


def tainted(key: str) -> Node:
    return Node(metadata=PLAIN, spec=NodeSpec(taints=(Taint(key),)))


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (CORDONED, "node is cordoned"),
        (EXCLUDED, "node is excluded from load balancing"),
        (condition("node is shutting down"), "node shuts down"),
        (tainted("node.kubernetes.io/out-of-service"), "node shuts down"),
        (tainted("ToBeDeletedByClusterAutoscaler"), "node shuts down"),
        (
            Node(metadata=ObjectMeta(name="a", deletion_timestamp="2026-01-01T00:00:00Z")),
            "node is deleted",
        ),
    ],
)
def test_a_node_that_leaves_the_cluster_drains(node: Node, why: str) -> None:
    assert shutdown_mode(OnStop.AUTO, node, NO_RULES) == ShutdownMode(
        graceful_restart=False, why=why
    )


@pytest.mark.parametrize(
    "node",
    [
        None,
        Node(metadata=PLAIN),
        condition("kubelet stopped posting node status"),
        tainted("node-role.kubernetes.io/control-plane"),
    ],
)
def test_other_nodes_do_a_graceful_restart(node: Node | None) -> None:
    assert shutdown_mode(OnStop.AUTO, node, NO_RULES) == ShutdownMode(True, "speaker restarts")


def test_the_exclusion_label_can_be_ignored() -> None:
    assert shutdown_mode(OnStop.AUTO, EXCLUDED, Rules(ignore_exclude_label=True)).graceful_restart


@pytest.mark.parametrize("node", [None, CORDONED])
def test_on_stop_flag_overrides_the_automatic_choice(node: Node | None) -> None:
    assert shutdown_mode(OnStop.RESTART, node, NO_RULES).graceful_restart
    assert not shutdown_mode(OnStop.DRAIN, node, NO_RULES).graceful_restart
