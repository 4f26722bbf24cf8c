"""Members: what is merged from Nodes, pods and the membership, and what this node publishes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from ipaddress import ip_network

import pytest

from metallb_py.kube.annotations import Annotations
from metallb_py.kube.objects import (
    Node,
    NodeCondition,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
)
from metallb_py.kube.reflector import Changed
from speaker.layer2.candidates import DEFAULT, Rules
from speaker.layer2.eligibility import NodeState
from speaker.layer2.topology import ANNOTATION, NodeInterface, encode
from speaker.members import InterfacePublication, Members
from speaker.membership.interface import Membership, Usable
from speaker.membership.ready_pods import ReadyPods

MANY = 1000
READY = PodStatus(conditions=(NodeCondition("Ready", "True"),))
ETH0 = NodeInterface("eth0", "02:00:00:00:00:01", (ip_network("192.0.2.0/24"),))
ETH1 = NodeInterface("eth1", "02:00:00:00:00:02", (ip_network("198.51.100.0/24"),))


class Detector:
    """A Membership without optional capabilities; ``publish`` is the argument of ``run``."""

    def __init__(self) -> None:
        self.publish: Callable[[Usable], None] | None = None

    async def run(self, publish: Callable[[Usable], None]) -> None:
        self.publish = publish
        await asyncio.get_running_loop().create_future()

    async def leave(self) -> None:
        raise AssertionError("the application calls it")


class Gossiper(Detector):
    """A Membership that needs the pods, and publishes this node's interfaces."""

    def __init__(self) -> None:
        super().__init__()
        self.pods: list[set[str]] = []
        self.interfaces: list[tuple[NodeInterface, ...]] = []

    def pods_changed(self, pods: Collection[Pod]) -> None:
        self.pods.append({pod.metadata.name for pod in pods})

    def interfaces_changed(self, interfaces: tuple[NodeInterface, ...]) -> None:
        self.interfaces.append(interfaces)


class Writer:
    """Records the annotations to write."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Annotations]] = []

    def write(self, path: str, annotations: Annotations) -> None:
        self.written.append((path, annotations))


def pod_event(
    number: int, interfaces: str | None = None, created: str = "", *, deleted: bool = False
) -> Changed[Pod]:
    """Return the event of the pod of a node's speaker, with its annotation."""
    name = f"speaker{number}{created}"
    annotations = {} if interfaces is None else {ANNOTATION: interfaces}
    meta = ObjectMeta(
        name, "metallb-system", creation_timestamp=created or None, annotations=annotations
    )
    pod = Pod(metadata=meta, spec=PodSpec(f"node{number}"), status=READY)
    return Changed(f"metallb-system/{name}", None, None if deleted else pod)


class Case:
    """Members of a cluster, and what they publish."""

    def __init__(self, membership: Membership, rules: Rules = DEFAULT) -> None:
        self.published: list[tuple[frozenset[str], Mapping[str, NodeState]]] = []
        self.members = Members(
            membership, rules, lambda *published: self.published.append(published)
        )

    def node(self, number: int, *conditions: NodeCondition, **labels: str) -> None:
        name = f"node{number}"
        node = Node(metadata=ObjectMeta(name, labels=labels), status=NodeStatus(conditions))
        self.members.node_changed(Changed(name, None, node))

    def pod(self, number: int) -> None:
        self.members.pod_changed(pod_event(number))

    def cluster(self, nodes: Iterable[int], pods: Iterable[int]) -> None:
        for number in nodes:
            self.node(number)
        for number in pods:
            self.pod(number)
        self.members.pods_synced()

    async def settle(self) -> int:
        """Wait until nothing is published any more; return the number of publications meanwhile."""
        before = len(self.published)
        while True:
            count = len(self.published)
            await asyncio.sleep(0.02)  # longer than the pacer's pause after short work
            if len(self.published) == count:
                return count - before


@contextlib.asynccontextmanager
async def running(case: Case) -> AsyncIterator[Case]:
    tasks = [asyncio.create_task(part) for part in (case.members.follow(), case.members.run())]
    try:
        yield case
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    """Members with membership by Ready pods, which has joined."""
    async with running(Case(ReadyPods())) as made:
        made.members.allow_join()
        yield made


async def test_a_thousand_nodes_and_speakers_at_once_are_one_change(case: Case) -> None:
    case.cluster(range(MANY), range(MANY))
    assert await case.settle() == 1
    usable, states = case.published[-1]
    assert len(usable) == len(states) == MANY


async def test_speakers_without_a_node_object_are_ignored(case: Case) -> None:
    case.cluster(range(3), range(3))
    await case.settle()
    for number in range(3, 50):
        case.pod(number)
    await case.settle()
    usable, states = case.published[-1]
    assert usable == states.keys() == {"node0", "node1", "node2"}


async def test_heartbeats_of_the_kubelet_publish_nothing(case: Case) -> None:
    case.cluster(range(3), range(3))
    await case.settle()
    for number in range(3):
        case.node(number, NodeCondition("Ready", "True"))
    assert await case.settle() == 0
    case.node(1, NodeCondition("NetworkUnavailable", "True"))
    assert await case.settle() == 1
    case.node(1, zone="a")
    assert await case.settle() == 1


async def test_flush_publishes_at_once(case: Case) -> None:
    case.cluster(range(3), range(3))
    case.members.flush()
    assert len(case.published) == 1
    case.members.flush()
    assert len(case.published) == 1


async def until_running(detector: Detector) -> Callable[[Usable], None]:
    while detector.publish is None:
        await asyncio.sleep(0)
    return detector.publish


async def test_membership_runs_only_once_it_may_join() -> None:
    detector = Detector()
    async with running(Case(detector)) as case:
        for _ in range(3):
            await asyncio.sleep(0)
        assert detector.publish is None
        case.members.allow_join()
        await until_running(detector)
        assert not case.members.is_running
        detector.publish(Usable())
        assert case.members.is_running


async def test_usable_speakers_and_their_gossiped_interfaces_are_merged_into_node_states() -> None:
    detector = Detector()
    async with running(Case(detector)) as case:
        case.members.allow_join()
        publish = await until_running(detector)
        case.node(1)
        case.node(2)
        case.members.pod_changed(pod_event(1, encode([ETH0])))
        case.members.pod_changed(pod_event(2, encode([ETH0])))
        case.members.flush()
        usable, states = case.published[-1]
        assert not usable
        assert [states[name].interfaces for name in ("node1", "node2")] == [(ETH0,), (ETH0,)]
        publish(Usable(frozenset({"node1", "stranger"}), {"node1": (ETH1,), "stranger": (ETH1,)}))
        case.members.flush()
        usable, states = case.published[-1]
        assert usable == {"node1"}
        assert [states[name].interfaces for name in ("node1", "node2")] == [(ETH1,), (ETH0,)]


async def test_membership_change_about_no_node_publishes_nothing() -> None:
    detector = Detector()
    async with running(Case(detector)) as case:
        case.members.allow_join()
        publish = await until_running(detector)
        case.node(1)
        publish(Usable(frozenset({"node1"})))
        case.members.flush()
        publish(Usable(frozenset({"node1", "stranger"}), {"stranger": (ETH1,)}))
        case.members.flush()
        assert len(case.published) == 1


async def test_membership_gets_the_pods_once_their_list_is_complete() -> None:
    gossiper = Gossiper()
    case = Case(gossiper)
    case.pod(1)
    case.pod(2)
    assert gossiper.pods == []
    case.members.pods_synced()
    case.pod(3)
    case.members.pod_changed(pod_event(1, deleted=True))
    assert gossiper.pods == [
        {"speaker1", "speaker2"},
        {"speaker1", "speaker2", "speaker3"},
        {"speaker2", "speaker3"},
    ]


async def test_node_states_follow_the_rules() -> None:
    case = Case(Detector(), Rules(ignore_exclude_label=True))
    case.node(1, **{"node.kubernetes.io/exclude-from-external-load-balancers": ""})
    case.members.flush()
    assert case.published[-1][1]["node1"].excluded is None
    assert case.members.node_names == ("node1",)
    assert case.members.node("node2") is None
    node = case.members.node("node1")
    assert node is not None
    assert node.metadata.name == "node1"


class Publication:
    """The publication of node1's interfaces, and what it wrote."""

    def __init__(self, membership: Membership) -> None:
        writer = Writer()
        self.written = writer.written
        self.publication = InterfacePublication("node1", membership, writer.write)


PATH = "/api/v1/namespaces/metallb-system/pods/speaker1/status"


def test_interfaces_are_published_by_annotation_and_membership() -> None:
    gossiper = Gossiper()
    case = Publication(gossiper)
    case.publication.pod_changed(pod_event(1))
    case.publication.pod_changed(pod_event(2))
    assert case.written == []
    case.publication.interfaces_changed((ETH0,))
    assert case.written == [(PATH, {ANNOTATION: encode([ETH0])})]
    case.publication.pod_changed(pod_event(1, encode([ETH0])))
    case.publication.interfaces_changed(())
    assert case.written[1:] == [(PATH, {ANNOTATION: ""})]
    assert gossiper.interfaces == [(ETH0,), ()]


def test_interfaces_known_before_the_pod_are_annotated_once_it_is_known() -> None:
    case = Publication(Detector())
    case.publication.interfaces_changed((ETH0,))
    assert case.written == []
    case.publication.pod_changed(pod_event(2))
    assert case.written == []
    case.publication.pod_changed(pod_event(1))
    assert case.written == [(PATH, {ANNOTATION: encode([ETH0])})]


def test_annotation_is_written_again_only_if_it_is_outdated() -> None:
    case = Publication(Detector())
    case.publication.interfaces_changed((ETH0,))
    case.publication.pod_changed(pod_event(1, encode([ETH0])))
    assert case.written == []
    case.publication.pod_changed(pod_event(1, encode([ETH1])))
    assert case.written == [(PATH, {ANNOTATION: encode([ETH0])})]


def test_youngest_pod_of_the_node_is_annotated() -> None:
    case = Publication(Detector())
    case.publication.interfaces_changed((ETH0,))
    current = encode([ETH0])
    case.publication.pod_changed(pod_event(1, current, "2026-01-01T00:00:00Z"))
    case.publication.pod_changed(pod_event(1, None, "2026-01-02T00:00:00Z"))
    path = "/api/v1/namespaces/metallb-system/pods/speaker12026-01-02T00:00:00Z/status"
    assert case.written == [(path, {ANNOTATION: current})]
    case.publication.pod_changed(pod_event(1, None, "2026-01-02T00:00:00Z", deleted=True))
    assert len(case.written) == 1
