"""Watches of the embedded API server, as a client hears them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.api import Api, running_api

from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import HISTORY, Object

pytestmark = pytest.mark.netns
CONFIGMAPS = BY_KIND["ConfigMap"]
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


class Hearing:
    """One watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def hear(self) -> tuple[str, dict[str, Any]]:
        event = json.loads(await self._response.content.readline())
        return event["type"], event["object"]

    async def names(self, count: int) -> list[tuple[str, str]]:
        heard = [await self.hear() for _ in range(count)]
        return [(kind, item["metadata"]["name"]) for kind, item in heard]

    async def is_over(self) -> bool:
        return await self._response.content.readline() == b""


@asynccontextmanager
async def watch(
    api: Api, headers: dict[str, str] | None = None, **query: str
) -> AsyncIterator[Hearing]:
    server = json.loads(api.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    url = f"{server}/api/v1/namespaces/shop/configmaps"
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, params={"watch": "true", **query}, headers=headers) as response,
    ):
        assert response.status == 200
        yield Hearing(response)


def configmap(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": {**labels}}}


async def put(api: Api, *names: str, namespace: str = "shop") -> None:
    for name in names:
        await api.store.create(CONFIGMAPS, namespace, configmap(name))


async def test_it_goes_on_where_a_list_ended(api: Api) -> None:
    await put(api, "old")
    async with watch(api, resourceVersion=str(api.store.version)) as heard:
        await put(api, "new")
        await api.store.update(CONFIGMAPS, "shop", "old", configmap("old", x="1"))
        await api.store.delete(CONFIGMAPS, "shop", "new")
        assert await heard.names(3) == [("ADDED", "new"), ("MODIFIED", "old"), ("DELETED", "new")]


async def test_changes_before_it_opened_are_told_first(api: Api) -> None:
    version = str(api.store.version)
    await put(api, "missed")
    async with watch(api, resourceVersion=version) as heard:
        await put(api, "new")
        assert await heard.names(2) == [("ADDED", "missed"), ("ADDED", "new")]


async def test_without_a_version_it_begins_with_what_there_is(api: Api) -> None:
    await put(api, "a", "b")
    async with watch(api) as heard:
        assert await heard.names(2) == [("ADDED", "a"), ("ADDED", "b")]
        await put(api, "c")
        assert await heard.names(1) == [("ADDED", "c")]


async def test_a_streaming_list_says_where_it_ends(api: Api) -> None:
    await put(api, "a")
    async with watch(api, sendInitialEvents="true", allowWatchBookmarks="true") as heard:
        assert await heard.names(1) == [("ADDED", "a")]
        kind, item = await heard.hear()
        assert kind == "BOOKMARK"
        assert item["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert item["metadata"]["resourceVersion"] == str(api.store.version)


async def test_only_what_is_selected_is_told(api: Api) -> None:
    version = str(api.store.version)
    async with watch(api, resourceVersion=version, fieldSelector="metadata.name=b") as heard:
        await put(api, "a")
        await put(api, "b", namespace="bank")
        await put(api, "b")
        ((kind, item),) = [await heard.hear()]
        assert (kind, item["metadata"]["namespace"]) == ("ADDED", "shop")


async def test_a_version_that_is_forgotten_ends_it_with_410(api: Api) -> None:
    version = str(api.store.version)
    for number in range(HISTORY + 1):
        await put(api, f"c{number}")
    async with watch(api, resourceVersion=version) as heard:
        kind, status = await heard.hear()
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert await heard.is_over()


async def test_it_ends_when_its_time_is_up(api: Api) -> None:
    async with watch(api, timeoutSeconds="0.05", resourceVersion="1") as heard:
        assert await heard.is_over()


async def test_kubectl_hears_tables(api: Api) -> None:
    await put(api, "a")
    async with watch(api, headers=TABLE) as heard:
        kind, table = await heard.hear()
        assert (kind, table["kind"]) == ("ADDED", "Table")
        assert table["rows"][0]["cells"][0] == "a"
