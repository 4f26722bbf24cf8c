"""Watches of the embedded API server, as a client receives them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.kube.api import Api, running_api

from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import HISTORY, Object

pytestmark = pytest.mark.netns
CONFIGMAPS = BY_KIND["ConfigMap"]
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


class Watch:
    """The events of one watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def receive(self) -> tuple[str, dict[str, Any]]:
        event = json.loads(await self._response.content.readline())
        return event["type"], event["object"]

    async def names(self, count: int) -> list[tuple[str, str]]:
        events = [await self.receive() for _ in range(count)]
        return [(kind, item["metadata"]["name"]) for kind, item in events]

    async def is_over(self) -> bool:
        return await self._response.content.readline() == b""


@asynccontextmanager
async def watch(
    api: Api, headers: dict[str, str] | None = None, **query: str
) -> AsyncIterator[Watch]:
    server = json.loads(api.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    url = f"{server}/api/v1/namespaces/shop/configmaps"
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, params={"watch": "true", **query}, headers=headers) as response,
    ):
        assert response.status == 200
        yield Watch(response)


def configmap(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": {**labels}}}


async def put(api: Api, *names: str, namespace: str = "shop") -> None:
    for name in names:
        await api.store.create(CONFIGMAPS, namespace, configmap(name))


async def test_watch_starts_at_the_resource_version_of_a_list(api: Api) -> None:
    await put(api, "old")
    async with watch(api, resourceVersion=str(api.store.version)) as stream:
        await put(api, "new")
        await api.store.update(CONFIGMAPS, "shop", "old", configmap("old", x="1"))
        await api.store.delete(CONFIGMAPS, "shop", "new")
        assert await stream.names(3) == [("ADDED", "new"), ("MODIFIED", "old"), ("DELETED", "new")]


async def test_watch_first_sends_changes_since_its_resource_version(api: Api) -> None:
    version = str(api.store.version)
    await put(api, "missed")
    async with watch(api, resourceVersion=version) as stream:
        await put(api, "new")
        assert await stream.names(2) == [("ADDED", "missed"), ("ADDED", "new")]


async def test_watch_without_a_version_begins_with_existing_objects(api: Api) -> None:
    await put(api, "a", "b")
    async with watch(api) as stream:
        assert await stream.names(2) == [("ADDED", "a"), ("ADDED", "b")]
        await put(api, "c")
        assert await stream.names(1) == [("ADDED", "c")]


async def test_bookmark_ends_the_initial_events_of_a_streaming_list(api: Api) -> None:
    await put(api, "a")
    async with watch(api, sendInitialEvents="true", allowWatchBookmarks="true") as stream:
        assert await stream.names(1) == [("ADDED", "a")]
        kind, item = await stream.receive()
        assert kind == "BOOKMARK"
        assert item["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert item["metadata"]["resourceVersion"] == str(api.store.version)


async def test_watch_sends_only_selected_objects(api: Api) -> None:
    version = str(api.store.version)
    async with watch(api, resourceVersion=version, fieldSelector="metadata.name=b") as stream:
        await put(api, "a")
        await put(api, "b", namespace="bank")
        await put(api, "b")
        ((kind, item),) = [await stream.receive()]
        assert (kind, item["metadata"]["namespace"]) == ("ADDED", "shop")


async def test_watch_of_an_expired_version_ends_with_410(api: Api) -> None:
    version = str(api.store.version)
    for number in range(HISTORY + 1):
        await put(api, f"c{number}")
    async with watch(api, resourceVersion=version) as stream:
        kind, status = await stream.receive()
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert await stream.is_over()


async def test_watch_ends_after_timeout_seconds(api: Api) -> None:
    async with watch(api, timeoutSeconds="0.05", resourceVersion="1") as stream:
        assert await stream.is_over()


async def test_watch_sends_tables_to_kubectl(api: Api) -> None:
    await put(api, "a")
    async with watch(api, headers=TABLE) as stream:
        kind, table = await stream.receive()
        assert (kind, table["kind"]) == ("ADDED", "Table")
        assert table["rows"][0]["cells"][0] == "a"
