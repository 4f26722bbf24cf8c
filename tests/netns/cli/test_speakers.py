"""Announcing nodes in the output of ``explain``, against an API server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.kube.api import Api, running_api
from support.kube.commands import command, forbidding

from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.server import ApiServer
from metallb_py.lab.apiserver.store import Object
from speaker.layer2.candidates import EXCLUDE_LABEL

KIND_SERVICE = BY_KIND["Service"]
NAMES = ("node1", "node2")
POOLS = {
    "layer2": "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/32]}]",
    "bgp": "peers: [{peer-address: 10.0.0.9, peer-asn: 64513, my-asn: 64512}]\n"
    "address-pools: [{name: a, protocol: bgp, addresses: [192.0.2.0/32]}]",
}
LISTS = {
    "Nodes": "/api/v1/nodes",
    "Pods of the speakers": "/api/v1/namespaces/metallb-system/pods",
    "EndpointSlices": "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
}


async def populate(api: Api, protocol: str, **labels: str) -> None:
    """Create nodes with speakers, and a service with an address and endpoints on node2."""
    await api.set_config(POOLS[protocol])
    await api.add_service("web")
    item = api.store.list(KIND_SERVICE)[0]
    item["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.0"}]}}
    await api.store.update(KIND_SERVICE, "default", "web", item)
    ready: Object = {"conditions": [{"type": "Ready", "status": "True"}]}
    for name in NAMES:
        node: Object = {"name": name, "labels": dict(labels)}
        await api.add({"kind": "Node", "metadata": node, "status": {}})
        meta: Object = {"namespace": "metallb-system", "name": f"speaker-{name}"}
        meta["labels"] = {"app": "metallb", "component": "speaker"}
        spec: Object = {"nodeName": name}
        await api.add({"kind": "Pod", "metadata": meta, "spec": spec, "status": ready})
    for service, node_name in (
        ("web", "node2"),
        ("webs", "node1"),
    ):  # the second is another service's
        meta = {"namespace": "default", "name": f"{service}-1"}
        meta["labels"] = {"kubernetes.io/service-name": service}
        endpoint: Object = {"addresses": ["10.1.0.1"], "nodeName": node_name}
        await api.add({"kind": "EndpointSlice", "metadata": meta, "endpoints": [endpoint]})


@pytest.mark.parametrize(
    ("protocol", "line"),
    [("layer2", "  announced by node"), ("bgp", "  announced by node1, node2 (bgp)")],
)
async def test_explain_names_the_announcing_nodes(tmp_path: Path, protocol: str, line: str) -> None:
    async with running_api(tmp_path) as api:
        await populate(api, protocol)
        status, output = await command(api, "explain", "web")
        assert status == 0, output
        assert output.splitlines()[-1].startswith(line)
        _, output = await command(api, "explain", "web", "--json")
        announced = json.loads(output)["announced"]
        assert announced["checked"]
        assert announced["protocol"] == protocol
        assert announced["nodes"]


@pytest.mark.parametrize("protocol", POOLS)
async def test_explain_gives_the_reason_if_no_node_announces(tmp_path: Path, protocol: str) -> None:
    async with running_api(tmp_path) as api:
        await populate(api, protocol, **{EXCLUDE_LABEL: ""})
        status, output = await command(api, "explain", "web")
        assert status == 1
        last = output.splitlines()[-1]
        assert last.startswith("  announced by no node: ")
        assert f"it has the label {EXCLUDE_LABEL}" in last
        status, output = await command(api, "explain", "web", "--json")
        announced = json.loads(output)["announced"]
        assert (status, announced["checked"], announced["nodes"]) == (1, True, [])
        assert EXCLUDE_LABEL in announced["why"]
        assert (await command(api, "explain", "web", "--ignore-exclude-lb"))[0] == 0
        assert (await command(api, "explain", "web", "--ml-labels=app=other"))[0] == 1


@pytest.mark.parametrize("kinds", [[kind] for kind in LISTS] + [list(LISTS)])
async def test_explain_reports_lists_that_can_not_be_read(tmp_path: Path, kinds: list[str]) -> None:
    async with running_api(tmp_path) as api:
        await populate(api, "layer2", **{EXCLUDE_LABEL: ""})
        await api.stop()
        application = ApiServer(api.store).application()
        application.middlewares.append(forbidding(*(LISTS[kind] for kind in kinds)))
        await api.start(application)
        status, output = await command(api, "explain", "web")
        assert status == 0, output
        last = output.splitlines()[-1]
        assert last.startswith("  whether a node announces it is not checked: ")
        assert all(f"{kind} can't be read (GET {LISTS[kind]}" in last for kind in kinds)
        status, output = await command(api, "explain", "web", "--json")
        announced = json.loads(output)["announced"]
        assert (status, announced["checked"], announced["nodes"]) == (0, False, [])
