"""Node states from Node objects, pods of the speakers, and gossip."""

from __future__ import annotations

from metallb_py.kube.objects import (
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
)
from speaker.layer2.candidates import EXCLUDE_LABEL, Rules, node_states, pod_of
from speaker.layer2.eligibility import Exclusion, NodeState
from speaker.layer2.topology import ANNOTATION, NodeInterface


def node(labels: dict[str, str] | None = None, **conditions: str) -> Node:
    reported = tuple(NodeCondition(kind, status) for kind, status in conditions.items())
    return Node(metadata=ObjectMeta("node1", labels=labels), status=NodeStatus(reported))


def pod(name: str, created: str, text: str = "") -> Pod:
    notes = {ANNOTATION: text} if text else None
    meta = ObjectMeta(name, "metallb-system", creation_timestamp=created, annotations=notes)
    return Pod(metadata=meta, spec=PodSpec("node1"))


def state(made: Node, *pods: Pod, ignore: bool = False) -> NodeState:
    return node_states({"node1": made}, pods, Rules(ignore_exclude_label=ignore))["node1"]


def test_a_plain_node() -> None:
    assert state(node({"rack": "1"}, Ready="True", NetworkUnavailable="False")) == NodeState(
        {"rack": "1"}
    )


def test_the_exclude_label_counts_with_any_value_unless_ignored() -> None:
    labelled = node({EXCLUDE_LABEL: ""})
    detail = f"it has the label {EXCLUDE_LABEL}"
    assert state(labelled).excluded == Exclusion("nodeLabeledExcludeBalancers", detail)
    assert state(labelled, ignore=True).excluded is None


def test_network_unavailable_excludes_a_node() -> None:
    without = node(NetworkUnavailable="True")
    excluded = Exclusion("nodeNetworkUnavailable", "its network is unavailable")
    assert state(without, ignore=True).excluded == excluded


def test_the_youngest_pods_annotation_counts_for_the_node() -> None:
    gossiped = '{"eth0":{"mac":"02:00:00:00:00:01","subnets":[]}}'
    old, young = pod("b", "2026-01-01T00:00:00Z"), pod("a", "2026-01-02T00:00:00Z", gossiped)
    assert pod_of("node1", (old, young)) == young
    assert pod_of("node2", (old, young)) is None
    assert state(node(), old).interfaces is None
    assert state(node(), old, young).interfaces == (NodeInterface("eth0", "02:00:00:00:00:01"),)


def test_gossiped_interfaces_precede_the_pods_annotation() -> None:
    text = '{"eth0":{"mac":"02:00:00:00:00:01","subnets":[]}}'
    gossiped = {"node1": (NodeInterface("eth9", "02:00:00:00:00:09"),)}
    states = node_states({"node1": node()}, [pod("speaker", "2026-01-01", text)], gossiped=gossiped)
    assert states["node1"].interfaces == gossiped["node1"]


def test_drain_on_cordon_makes_a_cordoned_node_leave() -> None:
    cordoned = Node(metadata=ObjectMeta("node1"), spec=NodeSpec(unschedulable=True))
    assert not state(cordoned).leaving
    rules = Rules(drain_on_cordon=True)
    assert node_states({"node1": cordoned}, (), rules)["node1"].leaving
    assert not node_states({"node1": node()}, (), rules)["node1"].leaving
