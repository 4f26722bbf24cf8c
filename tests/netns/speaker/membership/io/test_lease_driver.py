"""Lease membership of speakers on loopback, with an API server that stops and starts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
from aiohttp import web
from support.kube.api import Api, connected, running_api
from support.kube.lease_speaker import LeaseSpeaker

from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Lease
from metallb_py.kube.reflector import Reachable, Unreachable
from metallb_py.lab.apiserver.defaults import BY_KIND
from speaker.membership.io.lease_driver import Contested, Holder, Unrenewed
from speaker.membership.lease_detector import Timing

NAMESPACE = "metallb-system"
# A Lease's duration is whole seconds. PATIENT is for Leases that must not expire on a slow machine.
QUICK = Timing(duration=1, renew=0.1, attempt=0.5)
PATIENT = Timing(duration=4, renew=0.2, attempt=1.0)


def started(
    client: KubeClient, node: str, timing: Timing = PATIENT, number: int = 1
) -> LeaseSpeaker:
    """Start a speaker; a second one of the same node has another number."""
    holder = Holder(NAMESPACE, node, f"{node}_{number}")
    return LeaseSpeaker(client, holder, Random(node).random, timing)


@asynccontextmanager
async def lease_speakers(
    api: Api, *nodes: str, timing: Timing = PATIENT
) -> AsyncIterator[list[LeaseSpeaker]]:
    async with connected(api) as client:
        speakers = [started(client, node, timing) for node in nodes]
        try:
            yield speakers
        finally:
            await asyncio.gather(*(speaker.crash() for speaker in speakers))


def stored(api: Api) -> dict[str, Lease]:
    leases = [msgspec.convert(item, Lease) for item in api.store.list(BY_KIND["Lease"])]
    return {lease.metadata.name: lease for lease in leases}


async def renewals(api: Api, name: str, count: int) -> None:
    """Wait until a Lease was renewed ``count`` times."""
    await api.until(lambda: name in stored(api))
    for _ in range(count):
        before = stored(api)[name].spec.renew_time
        await api.until(lambda before=before: stored(api)[name].spec.renew_time != before)


async def test_each_speaker_creates_a_lease_and_observes_all(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b", "c") as speakers:
        for speaker in speakers:
            await speaker.until_members("a", "b", "c")
        lease = stored(api)["speaker-a"]
        assert lease.metadata.namespace == NAMESPACE
        assert lease.metadata.labels == {"app": "metallb", "component": "speaker"}
        assert (lease.holder, lease.spec.lease_duration_seconds) == ("a_1", 4)
        await renewals(api, "speaker-a", 3)
        assert [speaker.events for speaker in speakers] == [[], [], []]
        for speaker in speakers:
            pairs = zip(speaker.reported, speaker.reported[1:], strict=False)
            assert all(before != after for before, after in pairs), "only changes are reported"


async def test_crashed_speaker_expires_after_the_lease_duration(tmp_path: Path) -> None:
    async with (
        running_api(tmp_path) as api,
        lease_speakers(api, "a", timing=QUICK) as (a,),
        lease_speakers(api, "b", timing=QUICK) as (b,),
    ):
        await a.until_members("a", "b")
        await renewals(api, "speaker-b", 2)
        last = time.monotonic()
        await b.crash()
        await a.until_members("a")
        assert 0.8 < time.monotonic() - last < 10
        assert "speaker-b" in stored(api), "no speaker deletes another's Lease"


async def test_leaving_speaker_is_removed_at_once_and_still_observes(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b") as (a, b):
        await a.until_members("a", "b")
        await b.until_members("a", "b")
        left = time.monotonic()
        await b.membership.leave()
        assert "speaker-b" not in stored(api)
        await a.until_members("a")
        assert time.monotonic() - left < PATIENT.duration
        await a.membership.leave()
        await b.until_members("b")
        assert not stored(api)
        assert a.events == b.events == []


async def test_leave_before_the_first_renewal_is_no_error(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a") as (a,):
        await a.membership.leave()
        assert not stored(api)
        assert a.events == []


async def test_api_server_outage_expires_no_lease(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b", "c") as all_:
        for speaker in all_:
            await speaker.until_members("a", "b", "c")
        reported = [len(speaker.reported) for speaker in all_]
        await api.stop()
        for speaker in all_:
            await speaker.until_event(Unreachable)
            await speaker.until_event(Unrenewed)
        await asyncio.sleep(1.5 * PATIENT.duration)
        await api.start()
        for speaker in all_:
            await speaker.until_event(Reachable)
        for name in ("speaker-a", "speaker-b", "speaker-c"):
            await renewals(api, name, 3)
        assert [len(speaker.reported) for speaker in all_] == reported
        kinds = [[type(event) for event in speaker.events] for speaker in all_]
        assert all(found.count(Unrenewed) == 1 for found in kinds), "reported once"


async def test_hanging_api_server_expires_no_lease(tmp_path: Path) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    silent = web.Application()
    silent.router.add_route("*", "/{path:.*}", hang)
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b", timing=QUICK) as (a, b):
        await a.until_members("a", "b")
        await b.until_members("a", "b")
        await api.stop()
        await api.start(silent)
        await a.until_event(Unrenewed)
        await asyncio.sleep(2.5 * QUICK.duration)
        assert a.reported[-1] == b.reported[-1] == {"a", "b"}
        await api.stop()
        await api.start()
        await renewals(api, "speaker-a", 3)
        await b.membership.leave()
        await a.until_members("a")


async def test_relist_in_any_order_expires_no_lease(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b", timing=QUICK) as (a, b):
        await a.until_members("a", "b")
        for _ in range(3):
            kept = api.store
            await api.stop()
            api.store = type(kept)()
            api.store.version = kept.version + 1000  # no watch can be resumed
            for item in kept.list(BY_KIND["Lease"]):
                await api.add(item)
            await api.start()
            await renewals(api, "speaker-a", 12)
            await renewals(api, "speaker-b", 1)
        assert a.reported[-1] == {"a", "b"}
        assert a.reported.count(frozenset({"a"})) <= 1, "before b joined"
        await b.crash()
        await a.until_members("a")


async def test_deleted_lease_is_recreated_at_once(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b") as (a, _):
        await a.until_members("a", "b")
        await api.store.delete(BY_KIND["Lease"], NAMESPACE, "speaker-b")
        await a.until_members("a")
        await a.until_members("a", "b")


async def test_lease_of_a_crashed_speaker_is_taken_over_without_an_event(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b") as (a, b):
        await a.until_members("a", "b")
        reported = len(a.reported)
        await b.crash()
        async with connected(api) as client:
            again = started(client, "b", number=2)
            try:
                await api.until(lambda: stored(api)["speaker-b"].holder == "b_2")
                await renewals(api, "speaker-b", 2)
                assert again.events == []
                assert len(a.reported) == reported
                assert again.reported[0] == {"a", "b"}, (
                    "every holder of a Lease is a member at first"
                )
            finally:
                await again.crash()


async def test_contested_lease_is_reported_once_and_outlives_one_holder(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, lease_speakers(api, "a", "b") as (a, b):
        await a.until_members("a", "b")
        reported = len(a.reported)
        async with connected(api) as client:
            second = started(client, "b", number=2)
            try:
                await b.until_event(Contested)
                await second.until_event(Contested)
                await renewals(api, "speaker-b", 10)
                assert b.events == [Contested("b_2")]
                assert second.events == [Contested("b_1")]
                await b.membership.leave()
                await renewals(api, "speaker-b", 3)
                assert stored(api)["speaker-b"].holder == "b_2"
                assert len(a.reported) == reported
            finally:
                await second.crash()


async def test_foreign_leases_are_ignored(tmp_path: Path) -> None:
    def made(name: str, labels: dict[str, str]) -> dict[str, object]:
        meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
        return {"kind": "Lease", "metadata": meta, "spec": {"holderIdentity": "x"}}

    ours = {"app": "metallb", "component": "speaker"}
    async with running_api(tmp_path) as api:
        await api.add(msgspec.convert(made("speaker-x", {"app": "metallb"}), dict))
        await api.add(msgspec.convert(made("metallb-controller", ours), dict))
        await api.add(msgspec.convert(made("speaker-", ours), dict))
        async with lease_speakers(api, "a") as (a,):
            await a.until(lambda: a.reported)
            await renewals(api, "speaker-a", 2)
            assert a.reported == [{"a"}]


async def test_stalled_watch_is_cut(tmp_path: Path) -> None:
    """As if the server's machine had failed: connections stay open, and nothing is received."""
    async with (
        running_api(tmp_path) as api,
        lease_speakers(api, "a", timing=QUICK) as (a,),
        lease_speakers(api, "b", timing=QUICK) as (b,),
    ):
        await a.until_members("a", "b")
        # Watches of this store receive no more changes; lists contain what was written.
        kept = api.store._changed
        api.store._changed = asyncio.Condition()
        await asyncio.sleep(1.2 * QUICK.duration)
        assert a.reported[-1] == {"a", "b"}
        await b.crash()
        await a.until_members("a")
        async with kept:
            kept.notify_all()
