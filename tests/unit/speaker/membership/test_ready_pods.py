"""Membership by Ready pods: speakers are usable while their pods are Ready."""

from __future__ import annotations

import asyncio

from metallb_py.kube.objects import NodeCondition, ObjectMeta, Pod, PodSpec, PodStatus
from speaker.membership.interface import Usable
from speaker.membership.ready_pods import ReadyPods


def pod(node: str, *, ready: bool = True, ending: bool = False) -> Pod:
    meta = ObjectMeta(
        f"speaker-{node}", deletion_timestamp="2026-01-01T00:00:00Z" if ending else None
    )
    conditions = (NodeCondition("Ready", str(ready)),)
    return Pod(metadata=meta, spec=PodSpec(node), status=PodStatus(conditions=conditions))


async def publishing(membership: ReadyPods) -> tuple[list[Usable], asyncio.Task[None]]:
    published: list[Usable] = []
    task = asyncio.create_task(membership.run(published.append))
    await asyncio.sleep(0)
    return published, task


async def test_nodes_with_a_ready_pod_that_is_not_terminating_are_usable() -> None:
    membership = ReadyPods()
    published, task = await publishing(membership)
    assert not published
    membership.pods_changed([pod("a"), pod("b", ready=False), pod("c", ending=True)])
    assert published == [Usable(frozenset({"a"}))]
    membership.pods_changed([pod("a"), pod("b")])
    assert published[1:] == [Usable(frozenset({"a", "b"}))]
    task.cancel()


async def test_pods_known_before_it_runs_are_published_at_the_start() -> None:
    membership = ReadyPods()
    membership.pods_changed([pod("a")])
    membership.pods_changed([pod("b")])
    published, task = await publishing(membership)
    assert published == [Usable(frozenset({"b"}))]
    task.cancel()
