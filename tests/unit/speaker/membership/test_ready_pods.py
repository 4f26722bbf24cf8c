"""Membership by Ready pods: speakers are usable while their pods are Ready."""

from __future__ import annotations

from metallb_py.kube.objects import NodeCondition, ObjectMeta, Pod, PodSpec, PodStatus
from speaker.membership.interface import Usable
from speaker.membership.ready_pods import ReadyPods


def pod(node: str, *, ready: bool = True, ending: bool = False) -> Pod:
    meta = ObjectMeta(
        f"speaker-{node}", deletion_timestamp="2026-01-01T00:00:00Z" if ending else None
    )
    conditions = (NodeCondition("Ready", str(ready)),)
    return Pod(metadata=meta, spec=PodSpec(node), status=PodStatus(conditions=conditions))


def test_nodes_with_a_ready_pod_that_is_not_terminating_are_usable() -> None:
    published: list[Usable] = []
    pods = [pod("a"), pod("b", ready=False), pod("c", ending=True)]
    ReadyPods(published.append).pods_changed(pods)
    assert published == [Usable(frozenset({"a"}))]
