"""Lists, read page by page."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from support.kube.api import connected, running_api
from support.kube.scripted_api import ScriptedApi, service, text_of

from metallb_py.errors import ApiError, OversizedError
from metallb_py.kube import client, listing
from metallb_py.kube.listing import has_slices
from metallb_py.kube.objects import SERVICES


async def test_list_of_more_than_one_page(tmp_path: Path) -> None:
    wanted = {f"default/s{number:04}" for number in range(listing.PAGE + 7)}
    async with running_api(tmp_path) as api, connected(api) as connection:
        for key in wanted:
            await api.add_service(key.partition("/")[2])
        listed = await listing.list_objects(connection, SERVICES)
        assert listed.items.keys() == wanted
        assert listed.version == str(api.store.version)


async def test_a_snapshot_with_and_without_a_configmap(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as connection:
        await api.add({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "x"}}})
        await api.add_service("web")
        taken = await listing.take_snapshot(connection, "metallb-system", "config")
        assert [item.key for item in taken.services] == ["default/web"]
        assert taken.namespaces["shop"]["team"] == "x"
        assert taken.configmap is None
        await api.set_config("peers: []")
        taken = await listing.take_snapshot(connection, "metallb-system", "config")
        assert taken.configmap is not None
        assert taken.configmap.data == {"config": "peers: []"}


async def test_large_objects_are_listed_in_smaller_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_BODY", 20_000)
    api = ScriptedApi()
    api.items = [text_of(service(f"s{n}", spec={"externalName": "x" * 5000})) for n in range(20)]
    async with api.running() as connection:
        listed = await listing.list_objects(connection, SERVICES)
        assert len(listed.items) == 20
        api.items.append(text_of(service("large", spec={"externalName": "x" * 20_000})))
        with pytest.raises(OversizedError):
            await listing.list_objects(connection, SERVICES)


async def test_a_list_without_an_end_is_an_error() -> None:
    api = ScriptedApi()
    page = {"metadata": {"continue": "5"}, "items": []}
    api.answers = [web.json_response(page) for _ in range(5)]
    async with api.running() as connection:
        with pytest.raises(ApiError, match="the list never ends"):
            await listing.list_objects(connection, SERVICES)


async def test_current_server_has_endpoint_slices(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        assert await has_slices(client)


async def test_old_server_has_no_endpoint_slices(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        await api.start(web.Application())
        assert not await has_slices(client)


@pytest.mark.parametrize("old", [True, False])
async def test_discovery_is_retried_until_the_server_answers(tmp_path: Path, old: bool) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        pending = asyncio.create_task(has_slices(client))
        await asyncio.wait([pending], timeout=0.3)
        assert not pending.done()
        await api.start(web.Application() if old else None)
        assert await pending is not old
