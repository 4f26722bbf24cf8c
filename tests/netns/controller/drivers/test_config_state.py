"""The stored state of the configuration, written to an API server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from support.kube.api import Api, connected, running_api
from support.kube.config_states import LARGE, OTHER_LARGE
from support.net.waiting import TIMEOUT

from controller.drivers.config_state import StateEvent, StateNotStored, StateStored, StateWriter
from metallb_py.kube.client import KubeClient
from metallb_py.kube.config_state import StateError, StateNames, Stored, decode
from metallb_py.kube.objects import ConfigMap
from metallb_py.kube.reflector import Changed, Reflector, ReflectorEvent
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.server import ApiServer

NAMES = StateNames("metallb-system", "config")
SMALL = Stored("address-pools: []", "[]")


def objects(api: Api) -> dict[str, ConfigMap]:
    found = (msgspec.convert(o, ConfigMap) for o in api.store.list(BY_KIND["ConfigMap"]))
    return {o.metadata.name: o for o in found if o.metadata.name in NAMES.all}


def stored(api: Api) -> Stored | None:
    try:
        return decode(NAMES, objects(api))
    except StateError:
        return None


@asynccontextmanager
async def writing(
    client: KubeClient,
) -> AsyncIterator[tuple[StateWriter, asyncio.Queue[StateEvent]]]:
    """Run a writer and the watch that it follows."""
    events: asyncio.Queue[StateEvent] = asyncio.Queue()
    writer = StateWriter(client, NAMES, events.put_nowait)

    async def observe(event: ReflectorEvent[ConfigMap]) -> None:
        if isinstance(event, Changed):
            writer.observed(event.key.rpartition("/")[2], event.new)

    tasks = [
        asyncio.create_task(writer.run()),
        asyncio.create_task(Reflector(client, NAMES.resource, observe).run()),
    ]
    try:
        yield writer, events
    finally:
        assert [task.exception() for task in tasks if task.done()] == []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_latest_state_is_stored_and_surplus_configmaps_deleted(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client, writing(client) as both:
        writer, events = both
        for wanted in (SMALL, LARGE, OTHER_LARGE, SMALL):
            assert writer.write(wanted)
            assert not writer.write(wanted), "written once"
            assert await asyncio.wait_for(events.get(), TIMEOUT) == StateStored()
            assert stored(api) == wanted
        assert objects(api).keys() == {NAMES.index}
        writer.write(None)
        assert await asyncio.wait_for(events.get(), TIMEOUT) == StateStored()
        assert objects(api) == {}
        assert events.empty()


async def test_state_that_is_stored_already_is_not_written_again(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        async with writing(client) as (writer, events):
            writer.write(LARGE)
            await asyncio.wait_for(events.get(), TIMEOUT)
        version = api.store.version
        writer = StateWriter(client, NAMES, events.put_nowait)
        for name, item in objects(api).items():
            writer.observed(name, item)
        writer.write(LARGE)
        task = asyncio.create_task(writer.run())
        assert await asyncio.wait_for(events.get(), TIMEOUT) == StateStored()
        assert api.store.version == version
        task.cancel()


def _deleted(api: Api) -> Callable[[], object]:
    return lambda: api.store.delete(BY_KIND["ConfigMap"], "metallb-system", NAMES.index)


def _changed(api: Api) -> Callable[[], object]:
    kind = BY_KIND["ConfigMap"]
    item = api.store.get(kind, "metallb-system", NAMES.index)
    item["data"] = {"format": "1", "sha256": "0"}
    return lambda: api.store.update(kind, "metallb-system", NAMES.index, item)


@pytest.mark.parametrize("harm", [_deleted, _changed])
async def test_change_by_another_writer_is_repaired(
    tmp_path: Path, harm: Callable[[Api], Callable[[], object]]
) -> None:
    async with running_api(tmp_path) as api, connected(api) as client, writing(client) as both:
        writer, events = both
        writer.write(SMALL)
        await asyncio.wait_for(events.get(), TIMEOUT)
        await harm(api)()  # type: ignore[misc]
        assert await asyncio.wait_for(events.get(), TIMEOUT) == StateStored(repaired=True)
        assert stored(api) == SMALL


async def test_failed_write_is_reported_once_and_retried(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        async with writing(client) as (writer, events):
            writer.write(SMALL)
            failed = await asyncio.wait_for(events.get(), TIMEOUT)
            assert isinstance(failed, StateNotStored)
            await api.start()
            assert await asyncio.wait_for(events.get(), TIMEOUT) == StateStored()
            assert stored(api) == SMALL


@pytest.mark.parametrize("status", [413, 422])
async def test_refused_content_is_not_sent_again(tmp_path: Path, status: int) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        sent = []

        @web.middleware
        async def refuse(request: web.Request, handler):  # type: ignore[no-untyped-def]
            if request.method in ("PUT", "POST"):
                sent.append(request.path)
                if len(sent) == 1:
                    return web.json_response({"message": "no"}, status=status)
            return await handler(request)

        application = ApiServer(api.store).application()
        application.middlewares.append(refuse)
        await api.stop()
        await api.start(application)
        async with writing(client) as (writer, events):
            writer.write(SMALL)
            failed = await asyncio.wait_for(events.get(), TIMEOUT)
            assert isinstance(failed, StateNotStored)
            assert str(status) in failed.error
            writer.write(SMALL)
            writer.observed(NAMES.index, None)
            other = Stored("address-pools: [] ")
            writer.write(other)
            assert await asyncio.wait_for(events.get(), TIMEOUT) == StateStored()
            assert stored(api) == other
            assert len(sent) == 3, "the refused one, and PUT and POST of the other"
