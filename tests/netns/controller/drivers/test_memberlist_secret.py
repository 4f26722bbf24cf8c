"""The memberlist secret, on loopback, as MetalLB's controller creates it."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest
from support.kube.api import Api, connected, running_api
from support.kube.controller import options

from controller.drivers.memberlist_secret import ensure_secret
from controller.replica import run
from metallb_py.errors import ApiError
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import Object

WHERE = ("metallb-system", "memberlist")


async def add_deployment(api: Api) -> Object:
    meta: Object = {"namespace": "metallb-system", "name": "controller"}
    return await api.add({"kind": "Deployment", "metadata": meta})


def secret(api: Api) -> dict[str, dict[str, object]]:
    item: dict[str, dict[str, object]] = json.loads(
        json.dumps(api.store.get(BY_KIND["Secret"], *WHERE))
    )
    return item


async def test_memberlist_secret_is_created_as_in_metallb(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        deployment = await add_deployment(api)
        assert await ensure_secret(client, *WHERE, "controller")
        made = secret(api)
        text = b64decode(str(made["data"]["secretkey"]))
        assert re.fullmatch(rb"[A-Za-z0-9+/]{22}", text)
        assert len(b64decode(text + b"==")) == 16
        assert list(made["data"]) == ["secretkey"]
        assert "labels" not in made["metadata"]
        uid = deployment["metadata"]["uid"]  # type: ignore[index,call-overload]
        assert made["metadata"]["ownerReferences"] == [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "controller", "uid": uid}
        ]
        again = secret(api)
        assert not await ensure_secret(client, *WHERE, "controller")
        assert secret(api) == again


async def test_each_memberlist_secret_has_another_key(tmp_path: Path) -> None:
    keys = set()
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with running_api(folder) as api, connected(api) as client:
            await add_deployment(api)
            await ensure_secret(client, *WHERE, "controller")
            keys.add(secret(api)["data"]["secretkey"])
    assert len(keys) == 3


async def test_one_of_the_replicas_that_start_at_once_creates_the_secret(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await add_deployment(api)
        made = await asyncio.gather(
            *(ensure_secret(client, *WHERE, "controller") for _ in range(5))
        )
        assert sorted(made) == [False] * 4 + [True]


async def test_existing_secret_needs_no_deployment(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        meta: Object = {"namespace": WHERE[0], "name": WHERE[1]}
        await api.add({"kind": "Secret", "metadata": meta, "data": {"secretkey": "x"}})
        assert not await ensure_secret(client, *WHERE, "")


@pytest.mark.parametrize("deployment", ["controller", ""])
async def test_secret_without_its_owner_is_not_created(tmp_path: Path, deployment: str) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        with pytest.raises(ApiError):
            await ensure_secret(client, *WHERE, deployment)
        assert not api.store.list(BY_KIND["Secret"])


async def test_failed_creation_of_the_secret_ends_the_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_api(tmp_path) as api:
        wanted = replace(options(api), memberlist_secret="memberlist", deployment="controller")
        assert await run(wanted, asyncio.Event()) == 1
        lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        (failed,) = (line for line in lines if line["level"] == "error")
        assert (failed["op"], failed["msg"]) == ("startup", "failed to create memberlist secret")
        assert "404" in failed["error"]


async def test_secret_key_is_never_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_api(tmp_path) as api:
        await add_deployment(api)
        wanted = replace(options(api), memberlist_secret="memberlist", deployment="controller")
        for message in ("secret succesfully created", "secret already exists, nothing to do"):
            stop = asyncio.Event()
            stop.set()
            assert await run(wanted, stop) == 0
            out = capfd.readouterr().out
            assert message in out
            key = str(secret(api)["data"]["secretkey"])
            assert key not in out
            assert b64decode(key).decode() not in out
