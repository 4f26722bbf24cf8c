"""Admission reviews, answered from the state of an API server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

from support.kube.api import Api, connected, running_api

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


async def reviewed(
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
    answer = json.loads(await reviewer.answer(json.dumps(review).encode(), Caller("a", trusted)))
    response: dict[str, object] = answer["response"]
    return response


async def test_review_warns_of_effects_on_services(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await served_by(api)
        response = await reviewed(client, NOW, NEXT)
        assert response["allowed"] is True
        assert "default/web loses 192.0.2.1: gets 198.51.100.0" in str(response["warnings"])


async def test_untrusted_caller_gets_no_information_about_the_cluster(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await served_by(api)
        assert await reviewed(client, NOW, NEXT, trusted=False) == {"uid": "1", "allowed": True}
        bad = await reviewed(client, NOW, "address-pools: [{}]", trusted=False)
        assert bad["allowed"] is False
        await api.stop()
        same = await reviewed(client, NOW, NEXT, trusted=False)
        assert same == {"uid": "1", "allowed": True}, "no request to the API server"


async def test_review_without_an_effect_has_no_warnings(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await served_by(api)
        assert "warnings" not in await reviewed(client, NOW, NOW.replace("/30", "/29"))
        assert "warnings" not in await reviewed(client, NEXT, NEXT)


async def test_review_with_unknown_effects_is_allowed_with_a_warning(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        response = await reviewed(client, NOW, NEXT)
        assert response["allowed"] is True
        assert "the effects on services are not known" in str(response["warnings"])


async def test_invalid_config_is_refused_without_an_api_request(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        response = await reviewed(client, NOW, "address-pools: [{}]")
        assert response["allowed"] is False
