"""What the core is told of the cluster, and how often."""

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
from metallb_py.runtime.metrics import SpeakerMetrics
from speaker.layer2.eligibility import NodeState
from speaker.members import Members
from speaker.membership.settings import Kind
from speaker.options import Options
from speaker.responder.settings import Settings

MANY = 1000
READY = PodStatus(conditions=(NodeCondition("Ready", "True"),))


class Case:
    """Members of a cluster whose speakers' pods say whether they are usable."""

    def __init__(self, client: KubeClient) -> None:
        self.told: list[tuple[frozenset[str], Mapping[str, NodeState]]] = []
        common = CommonOptions("", 7472, "config", "metallb-system", "", Level.NONE)
        options = Options(common, "node0", "", "", False, Settings(), Kind.NONE)
        self.members = Members(
            options,
            client,
            Logger(Level.NONE),
            SpeakerMetrics(),
            lambda *told: self.told.append(told),
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
        """Wait until all is told; return how often it was since the last time."""
        before = len(self.told)
        while True:
            count = len(self.told)
            await asyncio.sleep(0.02)  # the pause after work of no time is shorter
            if len(self.told) == count:
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
    usable, states = case.told[-1]
    assert len(usable) == len(states) == MANY


async def test_speakers_on_what_is_no_node_change_nothing(case: Case) -> None:
    case.cluster(range(3), range(3))
    await case.settle()
    for number in range(3, 50):
        case.pod(number)
    await case.settle()
    usable, states = case.told[-1]
    assert usable == states.keys() == {"node0", "node1", "node2"}


async def test_kubelets_reports_that_all_is_well_change_nothing(case: Case) -> None:
    case.cluster(range(3), range(3))
    await case.settle()
    for number in range(3):
        case.node(number, NodeCondition("Ready", "True"))
    assert await case.settle() == 0
    case.node(1, NodeCondition("NetworkUnavailable", "True"))
    assert await case.settle() == 1
    case.node(1, zone="a")
    assert await case.settle() == 1


async def test_what_is_flushed_is_told_at_once(case: Case) -> None:
    case.cluster(range(3), range(3))
    case.members.flush()
    assert len(case.told) == 1
    case.members.flush()
    assert len(case.told) == 1
