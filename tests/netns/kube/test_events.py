"""Events written to an API server on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from support.kube.api import Api, connected, running_api
from support.net.waiting import TIMEOUT, until

from metallb_py.kube import events
from metallb_py.kube.events import BURST, Event, EventRecorder, EventType, ObjectReference
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import metadata

WEB = ObjectReference("Service", "default", "web", "uid-1", "7")


def event(message: str, about: ObjectReference = WEB) -> Event:
    return Event(about, EventType.NORMAL, "IPAllocated", message)


@asynccontextmanager
async def recording(api: Api) -> AsyncIterator[EventRecorder]:
    async with connected(api) as client:
        recorder = EventRecorder(client, "metallb-controller")
        task = asyncio.create_task(recorder.run())
        try:
            yield recorder
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_event_has_the_fields_that_kubectl_shows(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        recorder.record(event('Assigned IP ["192.0.2.1"]'))
        await api.until(api.events)
    (item,) = api.events()
    assert item["message"] == 'Assigned IP ["192.0.2.1"]'
    assert item["reason"] == "IPAllocated"
    assert item["type"] == "Normal"
    assert item["count"] == 1
    assert item["source"] == {"component": "metallb-controller"}
    assert item["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "namespace": "default",
        "name": "web",
        "uid": "uid-1",
        "resourceVersion": "7",
    }


async def test_repeated_event_increases_its_count(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        for _ in range(3):
            recorder.record(event("again"))
        await api.until(lambda: [e for e in api.events() if e["count"] == 3])
    assert len(api.events()) == 1


async def test_expired_event_is_created_again(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        recorder.record(event("again"))
        await api.until(api.events)
        name = str(metadata(api.events()[0])["name"])
        await api.store.delete(BY_KIND["Event"], "default", name)
        recorder.record(event("again"))
        await api.until(api.events)
        assert metadata(api.events()[0])["name"] != name


async def test_event_rate_is_limited_for_each_object(tmp_path: Path) -> None:
    other = ObjectReference("Service", "default", "other", "uid-2")
    async with running_api(tmp_path) as api, recording(api) as recorder:
        for number in range(BURST + 10):
            recorder.record(event(f"message {number}"))
        recorder.record(event("mine", other))
        await api.until(lambda: len(api.events()) == BURST + 1)
        assert "mine" in {e["message"] for e in api.events()}
        await until(lambda: recorder.dropped >= 10)
        assert len(api.events()) == BURST + 1


async def lose(text: str, api: Api, recorder: EventRecorder) -> None:
    """Record an Event while the API server is away, until it is dropped."""
    await api.stop()
    recorder.record(event(text))
    await until(lambda: recorder.dropped)
    await api.start()


async def test_event_that_can_not_be_written_is_dropped_alone(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        await lose("lost", api, recorder)
        recorder.record(event("kept"))
        await api.until(api.events)
    assert [e["message"] for e in api.events()] == ["kept"]


async def test_count_of_an_event_that_failed_is_added_to_the_next(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        await lose("again", api, recorder)
        recorder.record(event("again"))
        await api.until(lambda: [e for e in api.events() if e["count"] == 2])
    assert len(api.events()) == 1


async def test_event_evicted_during_its_update_does_not_end_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers slowly that it expired; another Event takes its place meanwhile."""
    monkeypatch.setattr(events, "REMEMBERED", 1)
    written: list[str] = []
    patched = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.method == "PATCH":
            patched.set()
            await until(lambda: "other" in written)
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        written.append((await request.json())["message"])
        return web.json_response({}, status=201)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    api = Api(tmp_path)
    await api.start(application)
    try:
        async with recording(api) as recorder:
            recorder.record(event("first"))
            recorder.record(event("first"))
            async with asyncio.timeout(TIMEOUT):
                await patched.wait()
            numbers = range(64)  # some of them go through another worker
            for about in (ObjectReference("Service", "d", f"{n}", f"uid{n}") for n in numbers):
                recorder.record(event("other", about))
            await until(lambda: len(written) >= 2 + len(numbers))
    finally:
        await api.stop()
    assert written.count("first") == 2


async def test_long_message_is_cut_to_the_servers_limit(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        recorder.record(event("ü" * 2000))
        await api.until(api.events)
    message = str(api.events()[0]["message"])
    assert len(message.encode()) <= 1024
    assert message.endswith(" ...")


async def test_a_message_is_printable(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        recorder.record(event("pool \x1b[2J\u202e\u2028\ud800\n of größer"))
        await api.until(api.events)
    message = str(api.events()[0]["message"])
    assert message == r"pool \x1b[2J\u202e\u2028\ud800\n of größer"


async def test_message_is_cut_after_its_escapes(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        recorder.record(event("\u202e" * 400))
        await api.until(api.events)
    assert len(str(api.events()[0]["message"]).encode()) <= 1024


async def test_queued_events_of_one_object_take_no_room_from_others(tmp_path: Path) -> None:
    """Nothing is written meanwhile, so that all Events are queued."""
    async with running_api(tmp_path) as api, connected(api) as client:
        recorder = EventRecorder(client, "metallb-controller")
        for number in range(50_000):
            recorder.record(event(f"message {number}"))
        others = [ObjectReference("Service", "default", f"web{n}", f"uid-{n}") for n in range(200)]
        for other in others:
            recorder.record(event("mine", other))
        task = asyncio.create_task(recorder.run())
        try:
            await until(lambda: len(api.events()) >= BURST + len(others))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert sum(e["message"] == "mine" for e in api.events()) == len(others)


async def test_event_count_includes_repetitions_that_were_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api(tmp_path) as api, recording(api) as recorder:
        for _ in range(BURST):
            recorder.record(event("again"))
        await api.until(lambda: [e for e in api.events() if e["count"] == BURST])
        for _ in range(100):
            recorder.record(event("again"))
        later = time.monotonic() + 301
        monkeypatch.setattr("metallb_py.kube.events.time.monotonic", lambda: later)
        recorder.record(event("again"))
        monkeypatch.undo()
        await api.until(lambda: [e for e in api.events() if e["count"] == BURST + 101])
    assert len(api.events()) == 1


async def test_queued_events_of_all_objects_are_limited(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        recorder = EventRecorder(client, "metallb-controller")
        for number in range(100_000):
            about = ObjectReference("Service", "default", f"web{number}", f"uid-{number}")
            recorder.record(event("mine", about))
        assert recorder.dropped >= 100_000 - 20_000 - 1000
