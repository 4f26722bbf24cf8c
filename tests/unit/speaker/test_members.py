"""Members: usable speakers and node states as published to the core, and how often."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping

import pytest

from metallb_py.kube.access import Access
from metallb_py.kube.client import KubeClient
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
from metallb_py.runtime.flags import CommonOptions
from metallb_py.runtime.log import Level, Logger
from speaker.layer2.eligibility import NodeState
from speaker.members import Members
from speaker.membership.settings import Kind
from speaker.metrics import SpeakerMetrics
from speaker.options import Options
from speaker.responder.settings import Settings

MANY = 1000
READY = PodStatus(conditions=(NodeCondition("Ready", "True"),))


class Case:
    """Members of a cluster with membership by Ready pods, and what they publish."""

    def __init__(self, client: KubeClient) -> None:
        self.published: list[tuple[frozenset[str], Mapping[str, NodeState]]] = []
        common = CommonOptions("", 7472, "config", "metallb-system", "", Level.NONE)
        options = Options(common, "node0", "", "", False, Settings(), Kind.NONE)
        self.members = Members(
            options,
            client,
            Logger(Level.NONE),
            SpeakerMetrics(),
            lambda *published: self.published.append(published),
        )

    def node(self, number: int, *conditions: NodeCondition, **labels: str) -> None:
        name = f"node{number}"
        node = Node(metadata=ObjectMeta(name, labels=labels), status=NodeStatus(conditions))
        self.members.node_changed(Changed(name, None, node))

    def pod(self, number: int) -> None:
        name = f"speaker{number}"
        meta = ObjectMeta(name, "metallb-system")
        pod = Pod(metadata=meta, spec=PodSpec(f"node{number}"), status=READY)
        self.members.pod_changed(Changed(f"metallb-system/{name}", None, pod))

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


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    client = KubeClient(Access("http://192.0.2.1"))
    made = Case(client)
    task = asyncio.create_task(made.members.follow())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await client.close()


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
