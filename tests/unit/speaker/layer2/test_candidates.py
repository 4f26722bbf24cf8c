"""What Node objects and speakers' pods say of nodes."""

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
from speaker.layer2.topology import ANNOTATION, Wire


def node(labels: dict[str, str] | None = None, **conditions: str) -> Node:
    said = tuple(NodeCondition(kind, status) for kind, status in conditions.items())
    return Node(metadata=ObjectMeta("node1", labels=labels), status=NodeStatus(said))


def pod(name: str, created: str, text: str = "") -> Pod:
    notes = {ANNOTATION: text} if text else None
    meta = ObjectMeta(name, "metallb-system", creation_timestamp=created, annotations=notes)
    return Pod(metadata=meta, spec=PodSpec("node1"))


def state(made: Node, *pods: Pod, ignore: bool = False) -> NodeState:
    return node_states({"node1": made}, pods, Rules(ignore_exclude_label=ignore))["node1"]


def test_a_node_like_any_other() -> None:
    assert state(node({"rack": "1"}, Ready="True", NetworkUnavailable="False")) == NodeState(
        {"rack": "1"}
    )


def test_the_label_excludes_whatever_its_value_unless_it_is_ignored() -> None:
    labelled = node({EXCLUDE_LABEL: ""})
    detail = f"it has the label {EXCLUDE_LABEL}"
    assert state(labelled).excluded == Exclusion("nodeLabeledExcludeBalancers", detail)
    assert state(labelled, ignore=True).excluded is None


def test_a_node_without_a_network() -> None:
    without = node(NetworkUnavailable="True")
    excluded = Exclusion("nodeNetworkUnavailable", "its network is unavailable")
    assert state(without, ignore=True).excluded == excluded


def test_the_youngest_pod_speaks_for_the_node() -> None:
    told = '{"eth0":{"mac":"02:00:00:00:00:01","subnets":[]}}'
    old, young = pod("b", "2026-01-01T00:00:00Z"), pod("a", "2026-01-02T00:00:00Z", told)
    assert pod_of("node1", (old, young)) == young
    assert pod_of("node2", (old, young)) is None
    assert state(node(), old).wires is None
    assert state(node(), old, young).wires == (Wire("eth0", "02:00:00:00:00:01"),)


def test_what_a_speaker_told_itself_counts_before_its_pods_annotation() -> None:
    text = '{"eth0":{"mac":"02:00:00:00:00:01","subnets":[]}}'
    told = {"node1": (Wire("eth9", "02:00:00:00:00:09"),)}
    states = node_states({"node1": node()}, [pod("speaker", "2026-01-01", text)], told=told)
    assert states["node1"].wires == told["node1"]


def test_a_cordoned_node_leaves_where_that_is_asked_for() -> None:
    cordoned = Node(metadata=ObjectMeta("node1"), spec=NodeSpec(unschedulable=True))
    assert not state(cordoned).leaving
    rules = Rules(drain_on_cordon=True)
    assert node_states({"node1": cordoned}, (), rules)["node1"].leaving
    assert not node_states({"node1": node()}, (), rules)["node1"].leaving
