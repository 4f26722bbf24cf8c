"""Several replicas of the controller, on loopback: one leads, the others stand by."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.kube.api import Api, running_api
from support.kube.controller import controlling, options, page
from support.net.ports import free_port
from support.net.waiting import TIMEOUT, eventually, until

from controller.options import Options
from controller.replica import LEASE, run
from metallb_py.lab.apiserver.defaults import BY_KIND, part

CONFIG = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/24]}]"


def holder(api: Api) -> str:
    (lease,) = api.store.list(BY_KIND["Lease"]) or ({},)
    return str(part(lease, "spec").get("holderIdentity") or "")


def logged(capfd: pytest.CaptureFixture[str], event: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    return [line for line in lines if line.get("event") == event]


async def test_standby_takes_over_where_the_leader_leaves(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("one")
        async with controlling(api, lease_seconds=1):
            await api.until(lambda: api.ips("one"))
            first = holder(api)
            async with controlling(api, lease_seconds=1):
                await api.add_service("two")
                await api.until(lambda: api.ips("two") == ["192.0.2.1"])
                assert holder(api) == first
                await api.delete_service("one")
        async with controlling(api, lease_seconds=1):
            await api.add_service("three")
            await api.until(lambda: api.ips("three"))
            assert holder(api) not in ("", first)


async def test_leadership_ends_in_an_outage_and_is_regained_afterwards(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("before")
        async with controlling(api, lease_seconds=1):
            await api.until(lambda: api.ips("before"))
            elected = logged(capfd, "leaderElected")
            assert elected[0]["lease"] == f"metallb-system/{LEASE}"
            await api.stop()
            lost = await until(lambda: logged(capfd, "leaderLost"))
            assert lost[0]["reason"] == "the lease could not be renewed in time"
            await api.start()
            await api.add_service("after")
            await api.until(lambda: api.ips("after"))
    assert api.ips("before") != api.ips("after")


PASSED = "readyz check passed\n"


def page_options(api: Api, port: int) -> Options:
    wanted = options(api, lease_seconds=1)
    return replace(wanted, common=replace(wanted.common, port=port))


async def test_metrics_and_readyz_of_leader_and_standby(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("web")
        async with controlling(api, lease_seconds=1):
            await api.until(lambda: api.ips("web"))
            port, stop = free_port(), asyncio.Event()
            second = asyncio.create_task(run(page_options(api, port), stop))
            text = (await eventually(lambda: page(port), lambda found: found.status == 200)).text
            async with asyncio.timeout(TIMEOUT):
                while (ready := (await page(port, "readyz")).text) != "[+]election ok\n" + PASSED:
                    assert ready.startswith("[-]election failed"), "a standby that can't take over"
                    await asyncio.sleep(0.01)
        assert f'leader_election_master_status{{name="{LEASE}"}} 0.0' in text
        assert "metallb_k8s_client_config_loaded_bool" not in text
        first = holder(api)
        await api.until(lambda: holder(api) not in ("", first))
        await api.add_service("more")
        await api.until(lambda: api.ips("more"))
        shown = {
            f'leader_election_master_status{{name="{LEASE}"}} 1.0',
            "metallb_k8s_client_config_loaded_bool 1.0",
        }
        await eventually(lambda: page(port), lambda found: shown <= set(found.text.splitlines()))
        stop.set()
        assert await second == 0
