"""Responses of the embedded API server that the tests with kubectl do not cover: its errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.kube.api import running_api

pytestmark = pytest.mark.netns
CONFIGMAPS = "/api/v1/namespaces/shop/configmaps"
JSON = "application/json"
MERGE = "application/merge-patch+json"


class Client:
    """An HTTP client without any knowledge of Kubernetes."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self, method: str, path: str, body: object = None, kind: str = JSON, accept: str = JSON
    ) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        headers = {"Content-Type": kind, "Accept": accept}
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running_api(tmp_path) as api:
        server = json.loads(api.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(server, timeout=timeout) as session:
            yield Client(session)


def named(name: str, **more: object) -> dict[str, Any]:
    return {"metadata": {"name": name}, **more}


@pytest.mark.parametrize(
    ("path", "body", "kind", "code", "reason", "message"),
    [
        (CONFIGMAPS, b"{", JSON, 400, "BadRequest", "body: "),
        (CONFIGMAPS, b"[]", JSON, 400, "BadRequest", "want an object"),
        (CONFIGMAPS, {"metadata": []}, JSON, 400, "BadRequest", "want an object with metadata"),
        (CONFIGMAPS, b"\xff", JSON, 400, "BadRequest", "body: "),
        (CONFIGMAPS, named("a"), "text/plain", 415, "UnsupportedMediaType", "text/plain: want"),
        (CONFIGMAPS, named("there"), JSON, 409, "AlreadyExists", 'configmaps "there" already'),
        ("/api/v1/namespaces/shop/widgets", named("a"), JSON, 404, "NotFound", "Not Found"),
    ],
)
async def test_invalid_create_request_is_refused(
    client: Client, path: str, body: object, kind: str, code: int, reason: str, message: str
) -> None:
    await client("POST", CONFIGMAPS, named("there"))
    status, answer = await client("POST", path, body, kind)
    assert (status, answer["kind"], answer["code"]) == (code, "Status", code)
    assert (answer["status"], answer["reason"]) == ("Failure", reason)
    assert message in answer["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_missing_object_is_not_found(client: Client, method: str) -> None:
    kind = MERGE if method == "PATCH" else JSON
    status, answer = await client(method, f"{CONFIGMAPS}/none", named("none"), kind)
    assert (status, answer["reason"]) == (404, "NotFound")
    assert answer["message"] == 'configmaps "none" not found'


async def test_patch_checks_the_resource_version_if_it_has_one(client: Client) -> None:
    _, made = await client("POST", CONFIGMAPS, named("a", data={"x": "1"}))
    version = made["metadata"]["resourceVersion"]
    one = f"{CONFIGMAPS}/a"
    patch = {"data": {"x": "2"}, "metadata": {"resourceVersion": version}}
    assert (await client("PATCH", one, patch, MERGE))[0] == 200
    status, answer = await client("PATCH", one, {**patch, "data": {"x": "3"}}, MERGE)
    assert (status, answer["reason"]) == (409, "Conflict")
    assert (await client("PATCH", one, {"data": {"x": "4"}}, MERGE))[0] == 200
    assert (await client("GET", one))[1]["data"] == {"x": "4"}


async def test_delete_checks_the_preconditions_if_it_has_any(client: Client) -> None:
    _, made = await client("POST", CONFIGMAPS, named("a"))
    one, uid = f"{CONFIGMAPS}/a", made["metadata"]["uid"]
    for wrong in ({"resourceVersion": "1"}, {"uid": "another", "resourceVersion": ""}):
        status, answer = await client("DELETE", one, {"preconditions": wrong})
        assert (status, answer["reason"]) == (409, "Conflict")
    right = {"uid": uid, "resourceVersion": made["metadata"]["resourceVersion"]}
    assert (await client("DELETE", one, {"preconditions": right}))[0] == 200
    await client("POST", CONFIGMAPS, named("a"))
    assert (await client("DELETE", one, {"propagationPolicy": "Background"}))[0] == 200


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("application/apply-patch+yaml", {}, "want one of"),
        (MERGE, [1], "leaves no object"),
        ("application/json-patch+json", [{"op": "remove", "path": "/data/none"}], "no such place"),
        (MERGE, b"{", "body: "),
    ],
)
async def test_invalid_patch_is_refused(
    client: Client, kind: str, body: object, message: str
) -> None:
    await client("POST", CONFIGMAPS, named("a"))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = await client("PATCH", f"{CONFIGMAPS}/a", data, kind)
    assert status in (400, 415, 422)
    assert message in answer["message"]


async def test_list_has_the_resource_version_to_watch_from(client: Client) -> None:
    await client("POST", CONFIGMAPS, named("a"))
    status, answer = await client("GET", "/api/v1/configmaps")
    assert (status, answer["kind"], len(answer["items"])) == (200, "ConfigMapList", 1)
    newest = answer["items"][0]["metadata"]["resourceVersion"]
    assert answer["metadata"]["resourceVersion"] == newest


async def test_invalid_selector_is_refused(client: Client) -> None:
    status, answer = await client("GET", f"{CONFIGMAPS}?fieldSelector=metadata.name")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert "want KEY=VALUE" in answer["message"]


async def test_one_object_as_a_table(client: Client) -> None:
    await client("POST", CONFIGMAPS, named("a", data={"x": "1"}))
    _, answer = await client("GET", f"{CONFIGMAPS}/a", accept=f"{JSON};as=Table;v=v1;g=meta.k8s.io")
    assert answer["kind"] == "Table"
    assert answer["rows"][0]["cells"][:2] == ["a", "1"]


async def test_discovery(client: Client) -> None:
    assert (await client("GET", "/api"))[1]["versions"] == ["v1"]
    assert (await client("GET", "/apis/discovery.k8s.io/v1"))[1]["kind"] == "APIResourceList"
    assert (await client("GET", "/version"))[1]["major"] == "1"
    status, answer = await client("GET", "/apis/batch/v1")
    assert (status, answer["reason"]) == (404, "NotFound")
