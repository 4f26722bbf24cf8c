"""The diagnostic commands, run as processes, against an API server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.kube.api import Api, running_api
from support.kube.commands import command, forbidding
from support.kube.controller import controlling

from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.server import ApiServer
from metallb_py.lab.apiserver.store import Object, metadata

CONFIG = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/32]}]"
ELSEWHERE = CONFIG.replace("192.0.2", "198.51.100")


async def served(api: Api) -> None:
    """Run a controller that serves one service and leaves another one pending."""
    await api.set_config(CONFIG)
    await api.add_service("first")
    async with controlling(api):
        await api.until(lambda: api.ips("first"))
        await api.add_service("second")
        await api.until(lambda: [e for e in api.events() if e["type"] == "Warning"])


async def test_plan(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await served(api)
        assert await command(api, "plan", "-", text=CONFIG) == (0, "2 services: 2 as before\n")
        status, output = await command(api, "plan", "-", text=ELSEWHERE)
        assert status == 3
        assert 'default/first keeps 192.0.2.0, and pool "a" drains\n' in output
        assert 'default/second gets 198.51.100.0 of pool "a"\n' in output
        status, output = await command(
            api, "plan", "-", "--json", "--orphaned-addresses", "renumber", text=ELSEWHERE
        )
        changes = {each["service"]: each["fate"] for each in json.loads(output)["services"]}
        assert changes == {"default/first": "loses", "default/second": "keeps"}
        assert status == 3
        status, output = await command(
            api, "plan", "-", "--orphaned-addresses", "refuse", text=ELSEWHERE
        )
        assert status == 3
        assert (
            'refused: new config not compatible with assigned IPs: service "default/first"'
            in output
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("address-pools: [{name: a}]", "standard input:1: address-pools[0]"),
        ("kind: ConfigMap\napiVersion: v1\n", "no configuration found"),
    ],
)
async def test_plan_of_an_invalid_configuration_is_an_error(
    tmp_path: Path, text: str, message: str
) -> None:
    async with running_api(tmp_path) as api:
        status, output = await command(api, "plan", "-", text=text)
        assert status == 1
        assert message in output


async def test_plan_of_a_binary_file_is_an_error(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff")
    async with running_api(tmp_path) as api:
        assert await command(api, "plan", str(binary)) == (
            2,
            f"{binary}: byte 0: want UTF-8 text\n",
        )


async def add_node(api: Api, address: str) -> None:
    addresses: Object = {"type": "InternalIP", "address": address}
    status: Object = {"addresses": [addresses]}
    await api.add({"kind": "Node", "metadata": {"name": "node1"}, "status": status})


WARNING = 'pool "a" contains 192.0.2.0, an address of node node1: no speaker announces it'


async def test_pools_that_contain_node_addresses_are_warned_of(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await add_node(api, "192.0.2.0")
        assert await command(api, "plan", "-", text=CONFIG) == (
            0,
            f"warning: {WARNING}\n0 services: none\n",
        )
        status, output = await command(api, "plan", "-", "--json", text=CONFIG)
        assert (status, json.loads(output)["warnings"]) == (0, [WARNING])
        assert await command(api, "validate", "-", "--cluster", text=CONFIG) == (
            0,
            f"standard input: warning: {WARNING}\n",
        )
        assert await command(api, "validate", "-", text=CONFIG) == (0, "")
        assert await command(api, "validate", "-", "--cluster", text=ELSEWHERE) == (0, "")


async def test_forbidden_nodes_leave_pools_unchecked_with_a_warning(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.set_config(CONFIG)
        await add_node(api, "192.0.2.0")
        await api.stop()
        application = ApiServer(api.store).application()
        application.middlewares.append(forbidding("/api/v1/nodes"))
        await api.start(application)
        unchecked = "warning: pools are not checked for addresses of nodes: Nodes can't be read"
        status, output = await command(api, "plan", "-", text=CONFIG)
        assert status == 0
        assert output.startswith(f"{unchecked} (GET /api/v1/nodes: 403 ")
        status, output = await command(api, "validate", "-", "--cluster", text=CONFIG)
        assert status == 0
        assert output.startswith(f"standard input: {unchecked}")


async def test_validate_with_an_unreachable_cluster_is_an_error(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.stop()
        status, output = await command(api, "validate", "-", "--cluster", text=CONFIG)
        assert status == 2
        assert "GET /api/v1/nodes" in output
        assert (await command(api, "validate", "-", text=CONFIG))[0] == 0


async def test_explain(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await served(api)
        status, output = await command(api, "explain", "default/first")
        assert status == 1, "no node announces it"
        assert output.splitlines() == [
            "default/first: 192.0.2.0: served",
            '  holds 192.0.2.0 of pool "a" (layer2)',
            "  requests ipv4",
            '  1. pool "a": its addresses are from this one',
            "  announced by no node: noEndpoints: it has no endpoints",
        ]
        status, output = await command(api, "explain", "second")
        assert status == 1
        assert '  AllocationFailed: no available IPs: pool "a": no ipv4 address free\n' in output
        status, output = await command(api, "explain", "second", "--json")
        (pool,) = json.loads(output)["pools"]
        assert pool == {"pool": "a", "available": False, "detail": "no ipv4 address free"}
        assert await command(api, "explain", "none") == (2, "service default/none: not found\n")


async def test_explain_names_keys_and_annotations_without_effect(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.add_service("web")
        _, output = await command(api, "explain", "web")
        assert "  there is no ConfigMap of that name (--namespace, --config)\n" in output
        item = {"kind": "ConfigMap", "data": {"config.yml": ""}}
        await api.add({**item, "metadata": {"namespace": "metallb-system", "name": "config"}})
        service = api.store.get(BY_KIND["Service"], "default", "web")
        annotations = {"metallb.io/loadBalancerIps": "192.0.2.1"}
        service["metadata"] = {**metadata(service), "annotations": annotations}
        await api.store.update(BY_KIND["Service"], "default", "web", service)
        status, output = await command(api, "explain", "web")
        assert status == 1
        wrong = 'annotation "metallb.io/loadBalancerIps" has no effect: want '
        wrong += '"metallb.io/loadBalancerIPs"'
        assert f"  {wrong}\n" in output
        assert (
            '  ConfigMap: data, line 1: found the keys "config.yml": want the key "config"'
            in output
        )
        _, output = await command(api, "explain", "web", "--json")
        assert wrong in json.loads(output)["warnings"]


async def test_explain_and_plan_with_an_unreachable_cluster_are_errors(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        await api.stop()
        for arguments in (["explain", "x"], ["plan", "-"]):
            status, output = await command(api, *arguments)
            assert status == 2
            assert "GET /api/v1/services" in output
