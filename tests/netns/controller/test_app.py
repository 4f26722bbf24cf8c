"""The controller as a whole, against an API server on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from support.kube.api import Api, running_api
from support.kube.controller import controlling, page
from support.net.ports import free_port
from support.net.waiting import TIMEOUT, eventually

from controller.options import Options
from controller.orphaned_addresses import OrphanPolicy
from controller.replica import run
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.runtime.flags import CommonOptions
from metallb_py.runtime.log import Level

CONFIG = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/30]}]"
BROKEN = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/33]}]"


async def test_services_get_addresses_and_events(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("old", loadBalancerIP="192.0.2.2")
        async with controlling(api):
            await api.until(lambda: api.ips("old") == ["192.0.2.2"])
            await api.add_service("new")
            await api.until(lambda: api.ips("new") == ["192.0.2.0"])
            await api.until(lambda: len(api.events()) == 2)
    assert {e["message"] for e in api.events()} == {
        'Assigned IP ["192.0.2.0"]',
        'Assigned IP ["192.0.2.2"]',
    }


async def test_allocation_failure_is_an_event_and_is_retried(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG.replace("/30", "/32"))
        await api.add_service("first")
        async with controlling(api):
            await api.until(lambda: api.ips("first"))
            await api.add_service("second")
            await api.until(lambda: [e for e in api.events() if e["type"] == "Warning"])
            (warning,) = (e for e in api.events() if e["type"] == "Warning")
            assert warning["reason"] == "AllocationFailed"
            assert warning["message"] == (
                'Failed to allocate IP for "default/second": no available IPs: '
                'pool "a": no ipv4 address free'
            )
            await api.delete_service("first")
            await api.until(lambda: api.ips("second") == ["192.0.2.0"])


async def test_metrics_of_pools_and_pending_services(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG.replace("/30", "/32"))
        await api.add_service("first")
        async with controlling(api, port=(port := free_port())):
            await api.until(lambda: api.ips("first"))
            await api.add_service("second")
            await api.until(lambda: [e for e in api.events() if e["type"] == "Warning"])
            lines: list[str] = []
            async with asyncio.timeout(TIMEOUT):
                while "metallb_controller_allocation_seconds_count 1.0" not in lines:
                    lines = (await page(port)).text.splitlines()
    assert 'metallb_allocator_ipv4_addresses_total{pool="a"} 1.0' in lines
    assert 'metallb_allocator_ipv4_addresses_in_use_total{pool="a"} 1.0' in lines
    assert 'metallb_allocator_ipv6_addresses_total{pool="a"} 0.0' in lines
    assert "metallb_controller_services_pending 1.0" in lines
    assert "metallb_controller_services_draining 0.0" in lines


async def test_readyz_passes_after_the_first_lists_and_during_an_outage(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, controlling(api, port=(port := free_port())):
        await eventually(lambda: page(port, "readyz"), lambda found: found.status == 200)
        status, text = await page(port, "readyz")
        assert status == 200, "also without a configuration, which the webhook may have to see"
        assert "[+]services-synced ok\n[+]config-synced ok\n" in text
        await api.stop()
        for _ in range(10):
            assert (await page(port, "readyz")).status == 200
            assert (await page(port, "healthz")).status == 200


async def test_healthz_passes_and_readyz_fails_before_the_first_lists(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.stop()
        async with controlling(api, port=(port := free_port())):
            await eventually(lambda: page(port, "healthz"), lambda found: found.status == 200)
            status, text = await page(port, "readyz")
            assert status == 503
            assert "[-]services-synced failed: not listed yet" in text


async def test_namespace_selectors_of_a_pool_follow_namespace_labels(tmp_path: Path) -> None:
    """Namespaces are followed as soon as a pool has namespace-selectors."""
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG.replace("/30", "/32"))
        await api.add({"kind": "Namespace", "metadata": {"name": "default"}})
        await api.add_service("first")
        async with controlling(api):
            await api.until(lambda: api.ips("first"))
            more = "{name: b, protocol: layer2, addresses: [192.0.2.8/31], namespace-selectors: "
            more += "[{match-labels: {team: x}}]}"
            await api.change_config(CONFIG.replace("/30", "/32")[:-1] + f", {more}]")
            await api.add_service("second")
            await api.until(lambda: [e for e in api.events() if 'pool "b": not for' in str(e)])
            await api.label_namespace("default", {"team": "x"})
            await api.until(lambda: api.ips("second") == ["192.0.2.8"])


@pytest.mark.parametrize("at_start", [True, False])
async def test_invalid_config_is_reported_and_changes_nothing(
    tmp_path: Path, at_start: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("web")
        async with controlling(api):
            await api.until(lambda: api.ips("web"))
            if not at_start:
                await api.set_config(BROKEN)
                await api.until(lambda: _stale(api))
                await api.add_service("more")
                await api.until(lambda: api.ips("more"))
        if at_start:
            await api.set_config(BROKEN)
            async with controlling(api):
                await api.until(lambda: _stale(api))
                assert api.ips("web") == ["192.0.2.0"]
                await api.set_config(CONFIG)
                await api.add_service("more")
                await api.until(lambda: api.ips("more"))
    assert api.ips("web") == ["192.0.2.0"]
    (event,) = _stale(api)
    assert "want a prefix length up to 32" in str(event["message"])
    logged = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (stale,) = (line for line in logged if line.get("event") == "configStale")
    assert "want a prefix length up to 32" in stale["error"]
    assert stale["configmap"] == "metallb-system/config"


def _stale(api: Api) -> list[dict[str, object]]:
    return [dict(e) for e in api.events() if e["reason"] == "configStale"]


async def test_orphan_policy_refuse_delays_a_config_without_a_used_address(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("web")
        async with controlling(api, OrphanPolicy.REFUSE):
            await api.until(lambda: api.ips("web"))
            await api.set_config(CONFIG.replace("192.0.2", "198.51.100"))
            await api.until(lambda: _stale(api))
            assert 'service "default/web" cannot own ["192.0.2.0"]' in str(_stale(api)[0])
            await api.delete_service("web")
            await api.add_service("next")
            await api.until(lambda: api.ips("next") == ["198.51.100.0"])


async def test_orphan_policy_renumber_assigns_other_addresses(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("web")
        async with controlling(api, OrphanPolicy.RENUMBER):
            await api.until(lambda: api.ips("web"))
            await api.set_config(CONFIG.replace("192.0.2", "198.51.100"))
            await api.until(lambda: api.ips("web") == ["198.51.100.0"])
            reasons = {"OrphanedAddresses", "IPAllocated"}
            await api.until(lambda: reasons <= {str(e["reason"]) for e in api.events()})


async def test_missing_config_is_logged_and_waited_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_api(tmp_path) as api:
        await api.add_service("web")
        async with controlling(api):
            output = ""
            async with asyncio.timeout(TIMEOUT):
                while "no valid configuration yet" not in output:
                    output += capfd.readouterr().out
                    await asyncio.sleep(0.01)
            await api.set_config(CONFIG)
            await api.until(lambda: api.ips("web"))


async def test_missing_credentials_end_the_controller_with_status_1(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = CommonOptions("", 0, "config", "x", str(tmp_path / "missing"), Level.INFO)
    assert await run(Options(common, ""), asyncio.Event()) == 1
    assert "failed to create k8s client" in capfd.readouterr().out


async def test_credentials_are_never_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config("peers: [{peer-address: x, my-asn: 1, password: hunter2}]")
        async with controlling(api):
            await api.until(lambda: _stale(api))
    output = capfd.readouterr().out + str(api.events())
    assert "hunter2" not in output
    assert "s3cret" not in output


@pytest.mark.parametrize("address", ["10.96.077.7", "garbage", "", "10.96.0.1.7"])
async def test_invalid_cluster_ip_does_not_stop_the_controller(
    tmp_path: Path, address: str
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("bad", clusterIP=address, clusterIPs=[address], loadBalancerIP="")
        async with controlling(api):
            await api.add_service("good")
            await api.until(lambda: api.ips("good"))
        async with controlling(api):  # again after a restart
            await api.add_service("next")
            await api.until(lambda: api.ips("next"))


async def test_status_overwritten_by_another_controller_is_contested_slowly(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await api.add_service("web")
        kind, writes = BY_KIND["Service"], 0
        async with controlling(api):
            async with asyncio.timeout(TIMEOUT):
                while not (found := [e for e in api.events() if e["reason"] == "StatusContested"]):
                    await api.until(lambda: api.ips("web") == ["192.0.2.0"])
                    item = api.store.get(kind, "default", "web")
                    status = {"loadBalancer": {"ingress": [{"ip": "172.16.0.7"}]}}
                    writes += 1
                    await api.store.update(kind, "default", "web", {**item, "status": status})
                    while api.ips("web") != ["192.0.2.0"] and not api_has(api, "StatusContested"):
                        await api.store.wait(api.store.version)
            await api.until(lambda: api.ips("web") == ["192.0.2.0"])
    assert writes == 3
    assert 'found [172.16.0.7], want ["192.0.2.0"]' in str(found[0]["message"])
    assert found[0]["type"] == "Warning"


def api_has(api: Api, reason: str) -> bool:
    return any(event["reason"] == reason for event in api.events())
