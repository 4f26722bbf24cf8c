"""Speakers that follow each other's Leases, on loopback: one API server that comes and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
from aiohttp import web
from support.api import Api, connected, running_api
from support.lease_speaker import LeaseSpeaker

from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Lease
from metallb_py.kube.reflector import Reachable, Unreachable
from metallb_py.lab.apiserver.defaults import BY_KIND
from speaker.membership.io.lease_driver import Contested, Holder, Unrenewed
from speaker.membership.lease_detector import Timing

NAMESPACE = "metallb-system"
# A Lease lasts whole seconds. The others stretch for who must not expire on a slow machine.
QUICK = Timing(duration=1, renew=0.1, attempt=0.5)
PATIENT = Timing(duration=4, renew=0.2, attempt=1.0)


def begun(client: KubeClient, node: str, timing: Timing = PATIENT, number: int = 1) -> LeaseSpeaker:
    """Start a speaker; another one of a node has another number."""
    holder = Holder(NAMESPACE, node, f"{node}_{number}")
    return LeaseSpeaker(client, holder, Random(node).random, timing)


@asynccontextmanager
async def speaking(
    api: Api, *nodes: str, timing: Timing = PATIENT
) -> AsyncIterator[list[LeaseSpeaker]]:
    async with connected(api) as client:
        speakers = [begun(client, node, timing) for node in nodes]
        try:
            yield speakers
        finally:
            await asyncio.gather(*(speaker.crash() for speaker in speakers))


def stored(api: Api) -> dict[str, Lease]:
    leases = [msgspec.convert(item, Lease) for item in api.store.list(BY_KIND["Lease"])]
    return {lease.metadata.name: lease for lease in leases}


async def renewals(api: Api, name: str, count: int) -> None:
    """Wait until a Lease was renewed so many times."""
    await api.until(lambda: name in stored(api))
    for _ in range(count):
        before = stored(api)[name].spec.renew_time
        await api.until(lambda before=before: stored(api)[name].spec.renew_time != before)


async def test_each_makes_a_lease_and_sees_all(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a", "b", "c") as speakers:
        for speaker in speakers:
            await speaker.until_members("a", "b", "c")
            await speaker.until(lambda speaker=speaker: speaker.synced)
        lease = stored(api)["speaker-a"]
        assert lease.metadata.namespace == NAMESPACE
        assert lease.metadata.labels == {"app": "metallb", "component": "speaker"}
        assert (lease.holder, lease.spec.lease_duration_seconds) == ("a_1", 4)
        await renewals(api, "speaker-a", 3)
        assert [speaker.synced for speaker in speakers] == [1, 1, 1]
        assert [speaker.events for speaker in speakers] == [[], [], []]
        for speaker in speakers:
            pairs = zip(speaker.heard, speaker.heard[1:], strict=False)
            assert all(before != after for before, after in pairs), "only changes are told"


async def test_who_crashes_is_gone_after_a_duration(tmp_path: Path) -> None:
    async with (
        running_api(tmp_path) as api,
        speaking(api, "a", timing=QUICK) as (a,),
        speaking(api, "b", timing=QUICK) as (b,),
    ):
        await a.until_members("a", "b")
        await renewals(api, "speaker-b", 2)
        last = time.monotonic()
        await b.crash()
        await a.until_members("a")
        assert 0.8 < time.monotonic() - last < 10
        assert "speaker-b" in stored(api), "nobody deletes another's Lease"


async def test_who_leaves_is_gone_at_once_and_goes_on_to_listen(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a", "b") as (a, b):
        await a.until_members("a", "b")
        await b.until_members("a", "b")
        left = time.monotonic()
        await b.members.leave()
        assert "speaker-b" not in stored(api)
        await a.until_members("a")
        assert time.monotonic() - left < PATIENT.duration
        await a.members.leave()
        await b.until_members("b")
        assert not stored(api)
        assert a.events == b.events == []


async def test_leaving_before_anything_was_done_is_no_error(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a") as (a,):
        await a.members.leave()
        assert not stored(api)
        assert a.events == []


async def test_while_the_api_server_is_away_nobody_expires(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a", "b", "c") as all_:
        for speaker in all_:
            await speaker.until_members("a", "b", "c")
        told = [len(speaker.heard) for speaker in all_]
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
        assert [len(speaker.heard) for speaker in all_] == told
        kinds = [[type(event) for event in speaker.events] for speaker in all_]
        assert all(found.count(Unrenewed) == 1 for found in kinds), "told once"


async def test_an_api_server_that_takes_requests_and_answers_none(tmp_path: Path) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    silent = web.Application()
    silent.router.add_route("*", "/{path:.*}", hang)
    async with running_api(tmp_path) as api, speaking(api, "a", "b", timing=QUICK) as (a, b):
        await a.until_members("a", "b")
        await b.until_members("a", "b")
        await api.stop()
        await api.start(silent)
        await a.until_event(Unrenewed)
        await asyncio.sleep(2.5 * QUICK.duration)
        assert a.heard[-1] == b.heard[-1] == {"a", "b"}
        await api.stop()
        await api.start()
        await renewals(api, "speaker-a", 3)
        await b.members.leave()
        await a.until_members("a")


async def test_after_a_gap_a_list_in_any_order_buries_nobody(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a", "b", timing=QUICK) as (a, b):
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
        assert a.heard[-1] == {"a", "b"}
        assert a.heard.count(frozenset({"a"})) <= 1, "before b came"
        await b.crash()
        await a.until_members("a")


async def test_a_lease_that_is_deleted_is_made_anew_at_once(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a", "b") as (a, _):
        await a.until_members("a", "b")
        await api.store.delete(BY_KIND["Lease"], NAMESPACE, "speaker-b")
        await a.until_members("a")
        await a.until_members("a", "b")


async def test_a_crashed_speaker_s_lease_is_taken_over_without_a_word(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a", "b") as (a, b):
        await a.until_members("a", "b")
        told = len(a.heard)
        await b.crash()
        async with connected(api) as client:
            again = begun(client, "b", number=2)
            try:
                await api.until(lambda: stored(api)["speaker-b"].holder == "b_2")
                await renewals(api, "speaker-b", 2)
                assert again.events == []
                assert len(a.heard) == told
                assert again.heard[0] == {"a", "b"}, "whoever has a Lease is a member at first"
            finally:
                await again.crash()


async def test_two_of_one_name_say_so_once_and_neither_takes_the_other_with_it(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, speaking(api, "a", "b") as (a, b):
        await a.until_members("a", "b")
        told = len(a.heard)
        async with connected(api) as client:
            rival = begun(client, "b", number=2)
            try:
                await b.until_event(Contested)
                await rival.until_event(Contested)
                await renewals(api, "speaker-b", 10)
                assert b.events == [Contested("b_2")]
                assert rival.events == [Contested("b_1")]
                await b.members.leave()
                await renewals(api, "speaker-b", 3)
                assert stored(api)["speaker-b"].holder == "b_2"
                assert len(a.heard) == told
            finally:
                await rival.crash()


async def test_leases_of_others_are_none_of_ours(tmp_path: Path) -> None:
    def made(name: str, labels: dict[str, str]) -> dict[str, object]:
        meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
        return {"kind": "Lease", "metadata": meta, "spec": {"holderIdentity": "x"}}

    ours = {"app": "metallb", "component": "speaker"}
    async with running_api(tmp_path) as api:
        await api.add(msgspec.convert(made("speaker-x", {"app": "metallb"}), dict))
        await api.add(msgspec.convert(made("metallb-controller", ours), dict))
        await api.add(msgspec.convert(made("speaker-", ours), dict))
        async with speaking(api, "a") as (a,):
            await a.until(lambda: a.synced)
            await renewals(api, "speaker-a", 2)
            assert a.heard == [{"a"}]


async def test_a_watch_that_tells_nothing_is_cut(tmp_path: Path) -> None:
    """As when the machine behind it is gone: connections stay, and nothing comes."""
    async with (
        running_api(tmp_path) as api,
        speaking(api, "a", timing=QUICK) as (a,),
        speaking(api, "b", timing=QUICK) as (b,),
    ):
        await a.until_members("a", "b")
        # Whoever waits for changes of this store waits for ever; what was written is there.
        kept = api.store._changed
        api.store._changed = asyncio.Condition()
        await asyncio.sleep(1.2 * QUICK.duration)
        assert a.heard[-1] == {"a", "b"}
        await b.crash()
        await a.until_members("a")
        async with kept:
            kept.notify_all()
