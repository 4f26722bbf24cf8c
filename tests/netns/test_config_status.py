"""The state of the configuration, written onto its ConfigMap by a whole controller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from support.api import Api, running_api
from support.controller import controlling

from controller.orphans import OrphanPolicy
from metallb_py.cli.lab.apiserver.defaults import BY_KIND
from metallb_py.cli.lab.apiserver.store import metadata
from metallb_py.kube.config_state import StateNames, Stored, decode
from metallb_py.kube.configmap import STATUS, read
from metallb_py.kube.objects import ConfigMap

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


def stored(api: Api) -> Stored:
    objects = [msgspec.convert(o, ConfigMap) for o in api.store.list(BY_KIND["ConfigMap"])]
    names = StateNames("metallb-system", "config")
    found = decode(names, {o.metadata.name: o for o in objects if o.metadata.name in names.all})
    return found or Stored(None)


async def test_what_is_good_is_kept_and_what_is_bad_is_told(tmp_path: Path) -> None:
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


async def test_a_controller_that_starts_with_a_bad_text_works_from_the_last_good(
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


async def test_a_restart_does_not_make_a_refused_configuration_the_effective_one(
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


async def test_what_drains_stands_on_the_configmap_and_survives_a_restart(tmp_path: Path) -> None:
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
