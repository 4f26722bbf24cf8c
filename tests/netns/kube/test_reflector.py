"""A store that follows an API server through outages, relists and bookmarks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from support.kube.api import Api, connected, running_api
from support.net.waiting import TIMEOUT

from metallb_py.kube.objects import Resource, Service
from metallb_py.kube.reflector import Changed, Reflector, ReflectorEvent

SERVICES = Resource("/api/v1/services", Service)


class Follower:
    """A reflector's events."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[ReflectorEvent[Service]] = asyncio.Queue()

    async def record(self, event: ReflectorEvent[Service]) -> None:
        await self._events.put(event)

    async def next(self) -> str:
        """Return the next event in short: +name, ~name, -name, or the event's own name."""
        async with asyncio.timeout(TIMEOUT):
            event = await self._events.get()
        if not isinstance(event, Changed):
            return type(event).__name__
        sign = "+" if event.old is None else "-" if event.new is None else "~"
        return sign + event.key.removeprefix("default/")

    async def next_few(self, count: int) -> list[str]:
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def following(api: Api, resource: Resource[Service] = SERVICES) -> AsyncIterator[Follower]:
    follower = Follower()
    async with connected(api) as client:
        reflector = Reflector(client, resource, follower.record)
        task = asyncio.create_task(reflector.run())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_list_then_synced_then_watch_events(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.add_service("a")
        await api.add_service("b")
        async with following(api) as follower:
            assert await follower.next_few(3) == ["+a", "+b", "Synced"]
            await api.add_service("c")
            await api.delete_service("a")
            assert await follower.next_few(2) == ["+c", "-a"]


async def test_field_selector_restricts_list_and_watch(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.add_service("a")
        resource = Resource("/api/v1/services", Service, {"fieldSelector": "metadata.name=b"})
        async with following(api, resource) as follower:
            assert await follower.next() == "Synced"
            await api.add_service("c")
            await api.add_service("b")
            assert await follower.next() == "+b"


async def test_watch_is_resumed_after_an_outage(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.add_service("a")
        async with following(api) as follower:
            assert await follower.next_few(2) == ["+a", "Synced"]
            await api.stop()
            assert await follower.next() == "Unreachable"
            await api.add_service("meanwhile")
            await api.start()
            assert await follower.next_few(2) == ["Reachable", "+meanwhile"]


async def test_relist_after_a_gap_reports_the_difference(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.add_service("a")
        await api.add_service("b")
        async with following(api) as follower:
            assert await follower.next_few(3) == ["+a", "+b", "Synced"]
            await api.stop()
            assert await follower.next() == "Unreachable"
            await api.delete_service("a")
            await api.add_service("c")
            await api.restart_without_history()
            events = [await follower.next()]
            while "+c" not in events:
                events.append(await follower.next())
    assert [event for event in events if event[0] in "+-"] == ["-a", "+c"]
    assert "Synced" not in events, "only the first list is reported as complete"


async def test_bookmark_of_kube_apiserver_advances_the_resource_version(tmp_path: Path) -> None:
    added = {"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "6"}}}
    empty = {"kind": "Service", "apiVersion": "v1", "spec": {}, "status": {"loadBalancer": {}}}
    bookmark = {"type": "BOOKMARK", "object": {**empty, "metadata": {"resourceVersion": "7"}}}
    resumed: asyncio.Queue[str] = asyncio.Queue()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": []})
        await resumed.put(request.query["resourceVersion"])
        lines = [json.dumps(event) + "\n" for event in (bookmark, added, bookmark)]
        return web.Response(text="".join(lines))

    application = web.Application()
    application.router.add_get("/api/v1/services", answer)
    async with running_api(tmp_path) as api:
        await api.stop()
        await api.start(application)
        async with following(api) as follower:
            assert await follower.next_few(2) == ["Synced", "+a"]
            async with asyncio.timeout(TIMEOUT):
                assert [await resumed.get(), await resumed.get()] == ["5", "7"]


async def test_first_list_waits_for_an_unreachable_server(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.stop()
        async with following(api) as follower:
            assert await follower.next() == "Unreachable"
            await api.add_service("a")
            await api.start()
            assert await follower.next_few(3) == ["Reachable", "+a", "Synced"]
