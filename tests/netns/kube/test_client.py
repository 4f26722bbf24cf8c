"""The client against an API server on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from support.kube.api import connected, running_api

from metallb_py.errors import ApiError, ConflictError, GoneError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.fence import Fence
from metallb_py.kube.objects import Service, WatchEvent

WEB = "/api/v1/namespaces/default/services/web"


async def test_reads_creates_patches_and_replaces(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await client.create(
            "/api/v1/namespaces/default/services",
            {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer"}},
        )
        found = msgspec.json.decode(await client.get(WEB), type=Service)
        assert found.is_load_balancer
        await client.patch(WEB, {"metadata": {"labels": {"a": "b"}}})
        found = msgspec.json.decode(await client.get(WEB), type=Service)
        assert found.metadata.label("a") == "b"
        body = msgspec.json.decode(await client.get(WEB), type=dict)
        del body["metadata"]["labels"]
        await client.replace(WEB, body)
        found = msgspec.json.decode(await client.get(WEB), type=Service)
        assert found.metadata.label("a") == ""


async def test_delete_of_a_changed_object_conflicts(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.add_service("web")
        meta = msgspec.json.decode(await client.get(WEB), type=Service).metadata
        await client.patch(WEB, {"metadata": {"labels": {"a": "b"}}})
        with pytest.raises(ConflictError):
            await client.delete(WEB, meta.uid, meta.resource_version)
        meta = msgspec.json.decode(await client.get(WEB), type=Service).metadata
        await client.delete(WEB, meta.uid, meta.resource_version)
        with pytest.raises(NotFoundError):
            await client.delete(WEB, meta.uid, meta.resource_version)


async def test_errors_contain_the_request_and_the_servers_message(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        with pytest.raises(NotFoundError, match=f'GET {WEB}: 404 Not Found: services "web" not f'):
            await client.get(WEB)
        await api.add_service("web")
        stale = {"metadata": {"resourceVersion": "1"}}
        with pytest.raises(ConflictError) as conflict:
            await client.patch(WEB, stale)
        assert conflict.value.status == 409


async def test_a_watch_yields_lines_of_any_length(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        query = {"watch": "true", "resourceVersion": "1"}
        async with client.watch("/api/v1/configmaps", query) as lines:
            await api.set_config("x" * 1_000_000)
            await api.set_config("y")
            sizes = []
            async for line in lines:
                event = msgspec.json.decode(line, type=WatchEvent)
                sizes.append((event.type, len(line) > 1_000_000))
                if len(sizes) == 2:
                    break
    assert sizes == [("ADDED", True), ("MODIFIED", False)]


async def test_unreachable_server_is_an_api_error(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        with pytest.raises(ApiError) as error:
            await client.get(WEB)
        assert error.value.status == 0
        assert not isinstance(error.value, NotFoundError | ConflictError | GoneError)


@pytest.mark.parametrize("name", ["missing", "broken"])
async def test_invalid_kubeconfig_is_named_in_the_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "broken":
        path.write_text("a: [")
    with pytest.raises(ApiError, match=f"kubeconfig {path}: "):
        await KubeClient.connect(str(path))


async def test_credentials_without_a_kubeconfig_are_in_cluster() -> None:
    with pytest.raises(ApiError, match="in-cluster configuration: "):
        await KubeClient.connect()


async def test_closed_fence_permits_reads_and_blocks_writes(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as open_client:
        await api.add_service("web")
        fence = Fence()
        client = open_client.fenced(fence)
        try:
            await client.patch(WEB, {"metadata": {"labels": {"a": "1"}}})
            fence.shut()
            version = api.store.version
            writes = [
                client.patch(WEB, {"metadata": {"labels": {"a": "2"}}}),
                client.replace(WEB, {"metadata": {"name": "web"}}),
                client.create(WEB.removesuffix("/web"), {"metadata": {"name": "new"}}),
            ]
            tasks = [asyncio.ensure_future(write) for write in writes]
            await client.get(WEB)
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert api.store.version == version
            await open_client.patch(WEB, {"metadata": {"labels": {"a": "3"}}})
        finally:
            await client.close()


async def test_write_without_an_answer_is_unconfirmed(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as open_client:
        fence = Fence()
        client = open_client.fenced(fence)
        try:
            with pytest.raises(NotFoundError):
                await client.patch(WEB, {})
            assert not fence.has_unconfirmed_write
            await api.stop()
            with pytest.raises(ApiError):
                await client.patch(WEB, {})
            assert fence.has_unconfirmed_write
        finally:
            await client.close()
