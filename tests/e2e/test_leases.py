"""Speakers' Leases on the real API server, with the rights that the manifest gives a speaker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import random

import pytest
from support.kube.lease_speaker import LeaseSpeaker
from support.kube.rig import Rig

from metallb_py.kube.client import KubeClient
from metallb_py.kube.reflector import Reachable, Unreachable
from speaker.membership.io.lease_driver import Contested, Holder, Unrenewed
from speaker.membership.lease_detector import Timing
from speaker.membership.settings import LEASE_NAMESPACE as NAMESPACE

pytestmark = pytest.mark.e2e
MANIFEST = Path(__file__).parents[2] / "manifests" / "membership-lease.yaml"
NODES = ("lease-1", "lease-2", "lease-3")
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


@pytest.fixture(autouse=True, scope="module")
def rights(rig: Rig) -> None:
    rig.kubectl("apply", "-f", str(MANIFEST))


@asynccontextmanager
async def lease_speakers(rig: Rig, *nodes: str) -> AsyncIterator[list[LeaseSpeaker]]:
    """Run speakers with Lease membership, each over a connection of its own."""
    kubeconfig = str(rig.lab.control_plane.kubeconfig("speaker"))
    clients = [await KubeClient.connect(kubeconfig) for _ in nodes]
    holders = [Holder(NAMESPACE, node, f"{node}_{n}") for n, node in enumerate(nodes)]
    pairs = zip(clients, holders, strict=True)
    speakers = [LeaseSpeaker(client, holder, random, Timing()) for client, holder in pairs]
    try:
        yield speakers
    finally:
        await asyncio.gather(*(speaker.membership.leave() for speaker in speakers))
        await asyncio.gather(*(speaker.crash() for speaker in speakers))
        await asyncio.gather(*(client.close() for client in clients))


def lease_holders(rig: Rig) -> dict[str, str]:
    """Return the holder of each Lease of a speaker, by the Lease's name."""
    selector = ("-n", NAMESPACE, "-l", "app=metallb,component=speaker", "-o", "json")
    items = json.loads(rig.kubectl("get", "leases", *selector))["items"]
    return {item["metadata"]["name"]: item["spec"]["holderIdentity"] for item in items}


async def test_lease_members_observe_each_other_join_and_leave(rig: Rig) -> None:
    async with lease_speakers(rig, *NODES) as speakers:
        for speaker in speakers:
            await speaker.until_members(*NODES)
        assert set(lease_holders(rig)) == {f"speaker-{node}" for node in NODES}
        async with asyncio.timeout(2):
            await speakers[2].membership.leave()
            await speakers[0].until_members("lease-1", "lease-2")
        assert "speaker-lease-3" not in lease_holders(rig)
        assert [speaker.events for speaker in speakers] == [[], [], []]
    assert not lease_holders(rig)


async def test_api_server_outage_expires_no_lease_and_a_crash_does(rig: Rig) -> None:
    async with lease_speakers(rig, *NODES) as speakers:
        for speaker in speakers:
            await speaker.until_members(*NODES)
        reported = [len(speaker.reported) for speaker in speakers]
        rig.lab.control_plane.kill()
        for speaker in speakers:
            await speaker.until_event(Unreachable)
            await speaker.until_event(Unrenewed)
        await asyncio.sleep(1.5 * Timing().duration)
        rig.lab.control_plane.restart()  # blocks the event loop of the speakers meanwhile
        for speaker in speakers:
            await speaker.until_event(Reachable)
        await asyncio.sleep(2 * Timing().duration)
        assert [len(speaker.reported) for speaker in speakers] == reported
        await speakers[2].crash()
        await speakers[0].until_members("lease-1", "lease-2")
        await speakers[1].until_members("lease-1", "lease-2")
        assert "speaker-lease-3" in lease_holders(rig)


async def test_contested_lease_is_reported_and_a_deleted_lease_recreated(rig: Rig) -> None:
    async with lease_speakers(rig, "lease-1", "lease-2", "lease-2") as (first, one, other):
        await one.until_event(Contested)
        await other.until_event(Contested)
        await first.until_members("lease-1", "lease-2")
        rig.kubectl("delete", "-n", NAMESPACE, "lease", "speaker-lease-1")
        await one.until(lambda: {"lease-2"} in one.reported and one.reported[-1] > {"lease-2"})
        assert first.reported[-1] == {"lease-1", "lease-2"}
        assert first.events == []
        assert (len(one.events), len(other.events)) == (1, 1)
    assert set(lease_holders(rig)) <= {"speaker-lease-2"}, "each speaker left it to the other"
    rig.kubectl("delete", "-n", NAMESPACE, "lease", "speaker-lease-2", "--ignore-not-found")
