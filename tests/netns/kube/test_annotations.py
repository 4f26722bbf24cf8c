"""Annotations of objects, in an API server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.kube.api import Api, connected, running_api

from metallb_py.errors import ApiError
from metallb_py.kube.annotations import AnnotationWriter
from metallb_py.kube.client import KubeClient
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import metadata

NAME = "metallb.universe.tf/interfaces"


async def add_pod(api: Api, name: str) -> None:
    meta = {"namespace": "metallb-system", "name": name, "annotations": {"other": "stays"}}
    await api.add({"kind": "Pod", "metadata": meta, "spec": {"nodeName": "node1"}})


def written(api: Api, name: str) -> dict[str, str]:
    found = metadata(api.store.get(BY_KIND["Pod"], "metallb-system", name))["annotations"]
    assert isinstance(found, dict)
    return found


def status_of(pod: str) -> str:
    return f"/api/v1/namespaces/metallb-system/pods/{pod}/status"


@asynccontextmanager
async def writing(
    client: KubeClient,
) -> AsyncIterator[tuple[AnnotationWriter, asyncio.Queue[ApiError]]]:
    errors: asyncio.Queue[ApiError] = asyncio.Queue()
    annotation = AnnotationWriter(client)
    task = asyncio.create_task(annotation.run(errors.put_nowait))
    try:
        yield annotation, errors
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_latest_annotation_is_written_to_the_pod(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await add_pod(api, "speaker-a")
        async with writing(client) as (annotation, errors):
            annotation.write(status_of("speaker-a"), {NAME: "first"})
            annotation.write(status_of("speaker-a"), {NAME: "second"})
            await api.until(lambda: written(api, "speaker-a").get(NAME) == "second")
            assert written(api, "speaker-a")["other"] == "stays"
            annotation.write(status_of("speaker-a"), {NAME: None})
            await api.until(lambda: NAME not in written(api, "speaker-a"))
            annotation.write(status_of("speaker-a"), {NAME: "second"})
            await api.until(lambda: written(api, "speaker-a").get(NAME) == "second")
            annotation.write(status_of("speaker-gone"), {NAME: "x"})
            await add_pod(api, "speaker-b")
            annotation.write(status_of("speaker-b"), {NAME: "third"})
            await api.until(lambda: written(api, "speaker-b").get(NAME) == "third")
            assert errors.empty()


async def test_failed_write_is_reported_once_and_retried(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await add_pod(api, "speaker-a")
        await api.stop()
        async with writing(client) as (annotation, errors):
            annotation.write(status_of("speaker-a"), {NAME: "text"})
            await errors.get()
            await api.start()
            await api.until(lambda: written(api, "speaker-a").get(NAME) == "text")
            assert errors.empty()


async def test_refused_annotation_is_not_sent_again_and_delays_no_other(
    tmp_path: Path,
) -> None:
    """All annotations of an object together are limited to 256 KiB."""
    async with running_api(tmp_path) as api, connected(api) as client:
        await add_pod(api, "speaker-a")
        large = "x" * 300_000
        async with writing(client) as (annotation, errors):
            annotation.write(status_of("speaker-a"), {NAME: large, "b": "second"})
            await api.until(lambda: written(api, "speaker-a").get("b") == "second")
            refused = await errors.get()
            assert refused.status == 422
            version = api.store.version
            annotation.write(status_of("speaker-a"), {NAME: large})
            annotation.write(status_of("speaker-a"), {"c": "third"})
            await api.until(lambda: written(api, "speaker-a").get("c") == "third")
            assert api.store.version == version + 1
            assert errors.empty()
            annotation.write(status_of("speaker-a"), {NAME: "small"})
            await api.until(lambda: written(api, "speaker-a").get(NAME) == "small")


async def test_refusal_is_reported_after_a_failure_of_the_same_value(tmp_path: Path) -> None:
    """Its writer shortens what is too long, but not because the API server was away."""
    async with running_api(tmp_path) as api, connected(api) as client:
        await add_pod(api, "speaker-a")
        await api.stop()
        async with writing(client) as (annotation, errors):
            annotation.write(status_of("speaker-a"), {NAME: "x" * 300_000})
            assert (await errors.get()).status == 0
            await api.start()
            assert (await errors.get()).status == 422
