"""The state of the configuration, written to ConfigMaps by a whole controller."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from support.kube.api import Api, connected, running_api
from support.kube.controller import controlling, page
from support.net.ports import free_port
from support.net.waiting import eventually

from controller.orphaned_addresses import OrphanPolicy
from metallb_py.kube.config_state import StateNames, Stored, decode
from metallb_py.kube.configmap import DRAINING, LAST_GOOD, STATUS, read
from metallb_py.kube.objects import ConfigMap
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.server import ApiServer
from metallb_py.lab.apiserver.store import metadata

GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/30]}]"
ELSEWHERE = GOOD.replace("192.0.2", "198.51.100")
BAD = GOOD.replace("/30", "/33")


def annotations(api: Api) -> dict[str, Any]:
    item = api.store.get(BY_KIND["ConfigMap"], "metallb-system", "config")
    found = metadata(item).get("annotations") or {}
    assert isinstance(found, dict)
    return dict(found)


def state(api: Api) -> str:
    found: str = json.loads(annotations(api).get(STATUS, "{}")).get("state", "")
    return found


def latest(api: Api) -> str:
    found: str = json.loads(annotations(api).get(STATUS, "{}")).get("latest", "")
    return found


def stored(api: Api) -> Stored:
    objects = [msgspec.convert(o, ConfigMap) for o in api.store.list(BY_KIND["ConfigMap"])]
    names = StateNames("metallb-system", "config")
    found = decode(names, {o.metadata.name: o for o in objects if o.metadata.name in names.all})
    return found or Stored(None)


async def test_valid_config_is_stored_and_an_invalid_one_reported(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, controlling(api):
        await api.set_config(GOOD)
        await api.until(lambda: state(api) == "applied")
        await api.until(lambda: stored(api).text == GOOD)
        await api.change_config(BAD)
        await api.until(lambda: state(api) == "refused")
        status = json.loads(annotations(api)[STATUS])
        assert "want a prefix length up to 32" in status["problems"][0]
        assert status["inForce"] == read(GOOD).version
        await api.until(lambda: stored(api).text == GOOD)
        await api.change_config(GOOD + " ")
        await api.until(lambda: state(api) == "applied")


async def test_start_with_an_invalid_config_uses_the_last_good_one(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(GOOD)
        async with controlling(api):
            await api.until(lambda: state(api) == "applied")
        await api.change_config(BAD)
        async with controlling(api):
            await api.until(lambda: state(api) == "refused")
            await api.add_service("web")
            await api.until(lambda: api.ips("web") == ["192.0.2.0"])


async def test_restart_does_not_apply_a_refused_config(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(GOOD)
        await api.add_service("web")
        async with controlling(api, OrphanPolicy.REFUSE):
            await api.until(lambda: api.ips("web"))
            await api.change_config(ELSEWHERE)
            await api.until(lambda: state(api) == "refused")
        async with controlling(api, OrphanPolicy.REFUSE):
            await api.add_service("more")
            await api.until(lambda: api.ips("more"))
            assert api.ips("web") == ["192.0.2.0"]
            await api.until(lambda: state(api) == "refused")
            problems = json.loads(annotations(api)[STATUS])["problems"]
            assert any('service "default/web" cannot own' in problem for problem in problems)
            await api.delete_service("web")
            await api.delete_service("more")
            await api.until(lambda: state(api) == "applied")
            await api.until(lambda: stored(api).text == ELSEWHERE)


async def test_draining_pools_are_stored_and_survive_a_restart(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(GOOD)
        await api.add_service("web")
        async with controlling(api):
            await api.until(lambda: api.ips("web"))
            await api.change_config(ELSEWHERE)
            await api.until(lambda: stored(api).draining)
            await api.until(lambda: state(api) == "applied")
            held = 'pool "a" was removed while this service holds ["192.0.2.0"]'
            await api.until(lambda: held in str(api.events()))
        async with controlling(api):
            await api.add_service("next")
            await api.until(lambda: api.ips("next") == ["198.51.100.0"])
            assert api.ips("web") == ["192.0.2.0"]
            await api.delete_service("web")
            await api.until(lambda: not stored(api).draining)
    assert [e["reason"] for e in api.events() if held in str(e)] == ["OrphanedAddresses"]


CONFIG_PATH = "/api/v1/namespaces/metallb-system/configmaps/config"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
OURS = ("metallb.universe.tf/", "metallb.io/")


def text_of_size(size: int) -> str:
    """Return a valid configuration of about ``size`` bytes."""
    text, number = GOOD, 0
    lines = []
    while len(text) + sum(map(len, lines)) < size:
        line = f"# {number:06d} what stands in comments is a part of the text, too\n"
        lines.append(line)
        number += 1
    return "".join(lines) + text


def size_of_ours(api: Api) -> int:
    return sum(
        len(name) + len(str(value))
        for name, value in annotations(api).items()
        if name.startswith(OURS)
    )


async def delete_config(api: Api) -> None:
    await api.store.delete(BY_KIND["ConfigMap"], "metallb-system", "config")


def warnings(api: Api, reason: str) -> str:
    return str([event["message"] for event in api.events() if event["reason"] == reason])


async def test_last_good_config_of_300_kilobytes_survives_a_restart(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api:
        large = text_of_size(300_000)
        await api.set_config(large)
        async with controlling(api):
            await api.until(lambda: state(api) == "applied")
            assert stored(api).text == large
            assert size_of_ours(api) < 1024
        await api.change_config(BAD)
        async with controlling(api):
            await api.until(lambda: state(api) == "refused")
            await api.add_service("web")
            await api.until(lambda: api.ips("web") == ["192.0.2.0"])


async def test_annotations_of_the_controller_leave_room_for_kubectl_apply(tmp_path: Path) -> None:
    """140 KB after 120 KB: kubectl keeps a copy of the applied text; the controller adds none."""
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.set_config(GOOD)
        async with controlling(api):
            for size in (120_000, 140_000, 255_000):
                text = text_of_size(size)
                notes = {LAST_APPLIED: text}
                body = {"metadata": {"annotations": notes}, "data": {"config": text}}
                await client.patch(CONFIG_PATH, body)
                version = read(text).version
                await api.until(lambda version=version: version == latest(api))  # type: ignore[misc]
                assert state(api) == "applied"
                assert stored(api).text == text
                assert size_of_ours(api) < 1024


async def test_status_of_1000_problems_is_short(tmp_path: Path) -> None:
    pool = "{name: a%d, protocol: layer2, addresses: [192.0.2.0/33]}"
    many = "address-pools: [" + ", ".join(pool % n for n in range(1000)) + "]"
    async with running_api(tmp_path) as api:
        await api.set_config(many)
        async with controlling(api):
            await api.until(lambda: state(api) == "refused")
            status = json.loads(annotations(api)[STATUS])
            assert status["problemsTotal"] >= 1000
            assert 10 < len(status["problems"]) < 100
            assert "want a prefix length up to 32" in status["problems"][0]
            assert size_of_ours(api) < 8500


async def test_stale_last_good_config_renumbers_nothing_at_a_restart(
    tmp_path: Path,
) -> None:
    """Another controller ran meanwhile, and left the stored state as it was."""
    async with running_api(tmp_path) as api:
        await api.set_config(GOOD)
        async with controlling(api):
            await api.until(lambda: state(api) == "applied")
        await api.change_config(ELSEWHERE)
        await api.add_service("web")
        kind = BY_KIND["Service"]
        item = api.store.get(kind, "default", "web")
        item["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.2"}]}}
        await api.store.update(kind, "default", "web", item)
        async with controlling(api):
            await api.add_service("next")
            await api.until(lambda: api.ips("next") == ["198.51.100.0"])
            assert api.ips("web") == ["198.51.100.2"]
            await api.until(lambda: stored(api).text == ELSEWHERE)
    assert "ClearAssignment" not in str(api.events())


async def test_state_that_cannot_be_stored_is_reported_and_retried(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refusing = asyncio.Event()
    refusing.set()

    @web.middleware
    async def forbid(request: web.Request, handler: Any) -> web.StreamResponse:
        writes = request.method in ("PUT", "POST") and "configmaps" in request.path
        if writes and refusing.is_set():
            return web.json_response({"message": "no right to"}, status=403)
        answer: web.StreamResponse = await handler(request)
        return answer

    async with running_api(tmp_path) as api:
        application = ApiServer(api.store).application()
        application.middlewares.append(forbid)
        await api.stop()
        await api.start(application)
        await api.set_config(GOOD)
        async with controlling(api, port=(port := free_port())):
            await api.until(lambda: "no right to" in warnings(api, "configStateNotStored"))
            await api.until(lambda: state(api) == "applied")
            assert "no right to" in json.loads(annotations(api)[STATUS])["stateNotStored"]
            metrics = (await page(port)).text
            assert "metallb_controller_config_state_write_failing_bool 1.0" in metrics
            refusing.clear()
            await api.until(lambda: stored(api).text == GOOD)
            await api.until(lambda: "stateNotStored" not in annotations(api)[STATUS])
            # The page may be the earlier one for a while: it is rendered rarely.
            stored_again = "metallb_controller_config_state_write_failing_bool 0.0"
            await eventually(lambda: page(port), lambda found: stored_again in found.text)
    assert capfd.readouterr().out.count('"event":"configStateNotStored"') == 1


async def test_state_in_annotations_of_an_earlier_version_is_migrated(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.set_config(BAD)
        notes = {LAST_GOOD: GOOD, DRAINING: "[]", STATUS: "{}"}
        await client.patch(CONFIG_PATH, {"metadata": {"annotations": notes}})
        async with controlling(api):
            await api.until(lambda: stored(api).text == GOOD)
            await api.until(lambda: not {LAST_GOOD, DRAINING} & annotations(api).keys())
            await api.add_service("web")
            await api.until(lambda: api.ips("web") == ["192.0.2.0"])


@pytest.mark.parametrize("restarts", [False, True])
async def test_last_good_config_survives_a_recreated_configmap(
    tmp_path: Path, restarts: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(GOOD)
        async with controlling(api):
            await api.until(lambda: state(api) == "applied")
            await delete_config(api)
            if not restarts:
                await api.add_service("web")
                await api.until(lambda: api.ips("web") == ["192.0.2.0"])
                await api.set_config(BAD)
                await api.until(lambda: state(api) == "refused")
                assert stored(api).text == GOOD
        if restarts:
            async with controlling(api):
                await api.add_service("web")
                await api.until(lambda: api.ips("web") == ["192.0.2.0"])
                await api.set_config(ELSEWHERE)
                await api.until(lambda: state(api) == "applied")
                await api.until(lambda: stored(api).text == ELSEWHERE)
                assert api.ips("web") == ["192.0.2.0"]
    assert 'ConfigMap \\"metallb-system/config\\" not found' in capfd.readouterr().out


async def test_key_of_another_name_removes_no_pool_and_is_reported(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.set_config(GOOD)
        async with controlling(api):
            await api.until(lambda: state(api) == "applied")
            renamed = {"data": {"config": None, "config.yaml": ELSEWHERE}}
            await client.patch(CONFIG_PATH, renamed)
            await api.until(lambda: state(api) == "refused")
            found = 'found the keys "config.yaml": want the key "config"'
            assert found in str(json.loads(annotations(api)[STATUS])["problems"])
            await api.until(lambda: found in warnings(api, "configStale"))
            await api.add_service("web")
            await api.until(lambda: api.ips("web") == ["192.0.2.0"])


async def test_emptied_config_is_valid_and_reported(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(GOOD)
        async with controlling(api):
            await api.until(lambda: stored(api).text == GOOD)
            await api.change_config("")
            await api.until(
                lambda: 'no text under the key "config"' in warnings(api, "configEmpty")
            )
            await api.until(lambda: stored(api) == Stored(None))
            assert state(api) == "applied"


async def test_misspelled_metallb_annotation_is_reported_on_its_service(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.set_config(GOOD)
        await api.add_service("web")
        async with controlling(api):
            await api.until(lambda: api.ips("web"))
            wrong = {"metallb.universe.tf/allow-shared": "key"}
            path = "/api/v1/namespaces/default/services/web"
            await client.patch(path, {"metadata": {"annotations": wrong}})
            wanted = 'has no effect: want "metallb.universe.tf/allow-shared-ip"'
            await api.until(lambda: wanted in warnings(api, "UnknownAnnotation"))
