"""The embedded API server's answers, where kubectl's tests do not look: its refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.api import running_api

pytestmark = pytest.mark.netns
CONFIGMAPS = "/api/v1/namespaces/shop/configmaps"
JSON = "application/json"
MERGE = "application/merge-patch+json"


class Client:
    """An HTTP client that knows nothing of Kubernetes."""

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
async def ask(tmp_path: Path) -> AsyncIterator[Client]:
    async with running_api(tmp_path) as api:
        server = json.loads(api.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(server, timeout=timeout) as session:
            yield Client(session)


def named(name: str, **more: object) -> dict[str, Any]:
    return {"metadata": {"name": name}, **more}


@pytest.mark.parametrize(
    ("path", "body", "kind", "code", "reason", "says"),
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
async def test_what_cannot_be_created(
    ask: Client, path: str, body: object, kind: str, code: int, reason: str, says: str
) -> None:
    await ask("POST", CONFIGMAPS, named("there"))
    status, answer = await ask("POST", path, body, kind)
    assert (status, answer["kind"], answer["code"]) == (code, "Status", code)
    assert (answer["status"], answer["reason"]) == ("Failure", reason)
    assert says in answer["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_what_is_not_there(ask: Client, method: str) -> None:
    kind = MERGE if method == "PATCH" else JSON
    status, answer = await ask(method, f"{CONFIGMAPS}/none", named("none"), kind)
    assert (status, answer["reason"]) == (404, "NotFound")
    assert answer["message"] == 'configmaps "none" not found'


async def test_a_patch_names_a_version_or_takes_any(ask: Client) -> None:
    _, made = await ask("POST", CONFIGMAPS, named("a", data={"x": "1"}))
    version = made["metadata"]["resourceVersion"]
    one = f"{CONFIGMAPS}/a"
    patch = {"data": {"x": "2"}, "metadata": {"resourceVersion": version}}
    assert (await ask("PATCH", one, patch, MERGE))[0] == 200
    status, answer = await ask("PATCH", one, {**patch, "data": {"x": "3"}}, MERGE)
    assert (status, answer["reason"]) == (409, "Conflict")
    assert (await ask("PATCH", one, {"data": {"x": "4"}}, MERGE))[0] == 200
    assert (await ask("GET", one))[1]["data"] == {"x": "4"}


async def test_a_deletion_names_a_version_or_takes_any(ask: Client) -> None:
    _, made = await ask("POST", CONFIGMAPS, named("a"))
    one, uid = f"{CONFIGMAPS}/a", made["metadata"]["uid"]
    for wrong in ({"resourceVersion": "1"}, {"uid": "another", "resourceVersion": ""}):
        status, answer = await ask("DELETE", one, {"preconditions": wrong})
        assert (status, answer["reason"]) == (409, "Conflict")
    right = {"uid": uid, "resourceVersion": made["metadata"]["resourceVersion"]}
    assert (await ask("DELETE", one, {"preconditions": right}))[0] == 200
    await ask("POST", CONFIGMAPS, named("a"))
    assert (await ask("DELETE", one, {"propagationPolicy": "Background"}))[0] == 200


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("application/apply-patch+yaml", {}, "want one of"),
        (MERGE, [1], "leaves no object"),
        ("application/json-patch+json", [{"op": "remove", "path": "/data/none"}], "no such place"),
        (MERGE, b"{", "body: "),
    ],
)
async def test_what_is_no_patch(ask: Client, kind: str, body: object, says: str) -> None:
    await ask("POST", CONFIGMAPS, named("a"))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = await ask("PATCH", f"{CONFIGMAPS}/a", data, kind)
    assert status in (400, 415, 422)
    assert says in answer["message"]


async def test_a_list_has_a_version_to_watch_from(ask: Client) -> None:
    await ask("POST", CONFIGMAPS, named("a"))
    status, answer = await ask("GET", "/api/v1/configmaps")
    assert (status, answer["kind"], len(answer["items"])) == (200, "ConfigMapList", 1)
    newest = answer["items"][0]["metadata"]["resourceVersion"]
    assert answer["metadata"]["resourceVersion"] == newest


async def test_a_bad_selector_is_refused(ask: Client) -> None:
    status, answer = await ask("GET", f"{CONFIGMAPS}?fieldSelector=metadata.name")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert "want KEY=VALUE" in answer["message"]


async def test_one_object_as_a_table(ask: Client) -> None:
    await ask("POST", CONFIGMAPS, named("a", data={"x": "1"}))
    _, answer = await ask("GET", f"{CONFIGMAPS}/a", accept=f"{JSON};as=Table;v=v1;g=meta.k8s.io")
    assert answer["kind"] == "Table"
    assert answer["rows"][0]["cells"][:2] == ["a", "1"]


async def test_discovery(ask: Client) -> None:
    assert (await ask("GET", "/api"))[1]["versions"] == ["v1"]
    assert (await ask("GET", "/apis/discovery.k8s.io/v1"))[1]["kind"] == "APIResourceList"
    assert (await ask("GET", "/version"))[1]["major"] == "1"
    status, answer = await ask("GET", "/apis/batch/v1")
    assert (status, answer["reason"]) == (404, "NotFound")
