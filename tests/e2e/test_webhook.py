"""The validating webhook for the ConfigMap, on a real API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

from metallb_py.kube.configmap import STATUS
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.control_plane import WEBHOOK_CLIENT as CLIENT
from metallb_py.lab.network import CONTROL_PLANE

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
PORT = 9443
NAME = "metallb-webhook-configuration"
BROKEN = CONFIG.replace("protocol: layer2", "protocol: arp").replace("/24]", "/33]")


def shipped(policy: str) -> list[dict[str, Any]]:
    """Return the shipped configuration, and the Service that it names."""
    objects = list(yaml.safe_load_all((ROOT / "manifests" / "metallb.yaml").read_text()))
    if policy == "Fail":
        fail = (ROOT / "manifests" / "webhook-fail.yaml").read_text()
        objects = [*(o for o in objects if o["kind"] == "Service"), *yaml.safe_load_all(fail)]
    kinds = ("Service", "ValidatingWebhookConfiguration")
    service, configuration = (o for kind in kinds for o in objects if o["kind"] == kind)
    assert configuration["webhooks"][0]["failurePolicy"] == policy
    # The lab's controller is no pod: no selector finds it, so its endpoint is written by hand.
    del service["spec"]["selector"]
    name = service["metadata"]["name"]
    port = {"name": "", "port": PORT, "protocol": "TCP"}
    endpoint = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-lab",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [CONTROL_PLANE], "conditions": {"ready": True}}],
        "ports": [port],
    }
    return [service, endpoint, configuration]


def restart_controller(rig: Rig, *options: str) -> None:
    rig.lab.controller.kill()
    rig.lab.start_controller(f"--webhook-port={PORT}", *options)


@pytest.fixture(params=["Ignore", "Fail"])
def policy(rig: Rig, request: pytest.FixtureRequest) -> Iterator[str]:
    """Provide a controller with a webhook that the API server trusts; return the failure policy."""
    chosen: str = request.param
    for item in shipped(chosen):
        rig.apply(item)
    restart_controller(rig)
    kind = "validatingwebhookconfigurations"
    poll_until(lambda: "caBundle" in rig.kubectl("get", kind, NAME, "-o", "yaml"))
    yield chosen
    rig.kubectl("delete", "validatingwebhookconfigurations", NAME)
    rig.lab.controller.kill()
    rig.lab.start_controller()
    rig.apply_config()
    poll_until(rig.is_ready)


def refusal(rig: Rig, text: str) -> str:
    """Apply a configuration; return kubectl's error if it is refused, else an empty text."""
    meta = {"namespace": NAMESPACE, "name": "config"}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"config": text}}
    done = rig.try_kubectl("apply", "-f", "-", data=json.dumps(item))
    return done.stderr if done.returncode else ""


def test_webhook_refuses_an_invalid_configmap_with_every_problem(rig: Rig, policy: str) -> None:
    # kubectl sends no unchanged text: each attempt has its own.
    texts = (f"{BROKEN}# attempt {number}\n" for number in count())
    error = poll_until(lambda: refusal(rig, next(texts)), what="a review by the webhook")
    assert "config.metallb.universe.tf" in error
    assert 'unknown protocol "arp"' in error
    assert "line 7" in error
    assert "want a prefix length up to 32" in error
    assert refusal(rig, CONFIG + "# with a comment\n") == ""
    rig.lab.controller.kill()
    error = refusal(rig, CONFIG + f"# while the controller is away, {policy}\n")
    assert bool(error) is (policy == "Fail")


def test_webhook_warns_of_effects_on_services(rig: Rig, policy: str) -> None:
    rig.add_service("warned", "wire")
    address = poll_until(lambda: rig.address("warned"))
    elsewhere = CONFIG.replace("172.30.0.200-172.30.0.219", "172.30.0.220-172.30.0.229")
    meta = {"namespace": NAMESPACE, "name": "config"}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"config": ""}}

    def dry_run() -> subprocess.CompletedProcess[str]:
        text = f"{elsewhere}# attempt {next(attempts)}\n"
        document = json.dumps({**item, "data": {"config": text}})
        return rig.try_kubectl("apply", "--dry-run=server", "-f", "-", data=document)

    def warning() -> str:
        done = dry_run()
        # Until the controller is back, a policy of Fail refuses everything.
        assert done.returncode == 0 or "failed calling webhook" in done.stderr, done.stderr
        return done.stderr if "Warning: default/warned" in done.stderr else ""

    attempts = count()
    kept = f'Warning: default/warned keeps {address}, and pool "wire" drains'
    restart_controller(
        rig, f"--webhook-client-ca={rig.lab.folder}/ca.crt", f"--webhook-client-names={CLIENT}"
    )
    assert kept in poll_until(warning, what="a review with the API server's client certificate")
    restart_controller(rig)
    # A refusal shows that this controller answers; its review of a valid text names no services.
    texts = (f"{BROKEN}# attempt {number}\n" for number in count())
    poll_until(
        lambda: "unknown protocol" in refusal(rig, next(texts)), what="a review by the webhook"
    )
    done = dry_run()
    assert done.returncode == 0, f"{policy}: {done.stderr}"
    assert "default/warned" not in done.stderr, "the default trusts no caller"
    rig.delete_service("warned")


def test_stored_invalid_configmap_can_still_be_annotated(rig: Rig, policy: str) -> None:
    rig.kubectl("delete", "validatingwebhookconfigurations", NAME)
    rig.apply_config(BROKEN)
    rig.apply(shipped(policy)[-1])
    restart_controller(rig)
    texts = (f"{BROKEN}# attempt {number}\n" for number in count())
    poll_until(
        lambda: "unknown protocol" in refusal(rig, next(texts)), what="a review by the webhook"
    )
    config = ("configmap", "config", "-n", NAMESPACE)
    rig.kubectl("annotate", "--overwrite", *config, "touched=yes", f"{STATUS}-")
    restart_controller(rig)
    poll_until(lambda: STATUS in rig.kubectl("get", *config, "-o", "yaml"), what="the state")
    assert "unknown protocol" in str(rig.config_status())
