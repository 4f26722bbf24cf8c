"""Reviews, answered by what stands in an API server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

from support.api import Api, connected, running_api

from controller.drivers.review_gate import Caller
from controller.drivers.reviewer import Reviewer
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.kube.client import KubeClient

NOW = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/30]}]"
NEXT = NOW.replace("192.0.2", "198.51.100")


async def served_by(api: Api) -> None:
    await api.set_config(NOW)
    held = {"ingress": [{"ip": "192.0.2.1"}]}
    await api.add(
        {
            "kind": "Service",
            "metadata": {"namespace": "default", "name": "web"},
            "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
            "status": {"loadBalancer": held},
        }
    )


async def asked(
    client: KubeClient, before: str, after: str, *, trusted: bool = True
) -> dict[str, object]:
    reviewer = Reviewer(client, "metallb-system", "config", OrphanPolicy.RENUMBER, "")
    request = {
        "uid": "1",
        "kind": {"kind": "ConfigMap"},
        "operation": "UPDATE",
        "namespace": "metallb-system",
        "name": "config",
        "object": {"metadata": {"name": "config"}, "data": {"config": after}},
        "oldObject": {"metadata": {"name": "config"}, "data": {"config": before}},
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    said = json.loads(await reviewer.answer(json.dumps(review).encode(), Caller("a", trusted)))
    response: dict[str, object] = said["response"]
    return response


async def test_an_effect_on_services_is_warned_of(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await served_by(api)
        response = await asked(client, NOW, NEXT)
        assert response["allowed"] is True
        assert "default/web loses 192.0.2.1: gets 198.51.100.0" in str(response["warnings"])


async def test_a_caller_without_a_certificate_learns_nothing_about_the_cluster(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await served_by(api)
        assert await asked(client, NOW, NEXT, trusted=False) == {"uid": "1", "allowed": True}
        bad = await asked(client, NOW, "address-pools: [{}]", trusted=False)
        assert bad["allowed"] is False
        await api.stop()
        same = await asked(client, NOW, NEXT, trusted=False)
        assert same == {"uid": "1", "allowed": True}, "the API server was not asked"


async def test_without_an_effect_nothing_is_said(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await served_by(api)
        assert "warnings" not in await asked(client, NOW, NOW.replace("/30", "/29"))
        assert "warnings" not in await asked(client, NEXT, NEXT)


async def test_what_can_not_be_foreseen_is_let_through(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        response = await asked(client, NOW, NEXT)
        assert response["allowed"] is True
        assert "what it would do to services is not known" in str(response["warnings"])


async def test_a_bad_text_is_refused_without_asking_the_server(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        response = await asked(client, NOW, "address-pools: [{}]")
        assert response["allowed"] is False
