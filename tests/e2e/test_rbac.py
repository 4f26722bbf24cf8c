"""RBAC of the manifest: the controller, run as the manifest runs it, under exactly its rights.

The rights of a speaker are checked as well; their use is tested with the features that use them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

from metallb_py.kube.config_state import StateNames
from metallb_py.kube.configmap import STATUS
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.processes import Program
from speaker.membership.settings import LEASE_NAMESPACE

pytestmark = pytest.mark.e2e
MANIFEST = Path(__file__).parents[2] / "manifests" / "metallb.yaml"
USER = f"system:serviceaccount:{NAMESPACE}:controller"
SPEAKER = f"system:serviceaccount:{NAMESPACE}:speaker"
BROKEN = CONFIG.replace("/24]", "/33]")
WEBHOOK = ("validatingwebhookconfigurations", "metallb-webhook-configuration")
REPLICA = "rbac"
STATE = StateNames(NAMESPACE, "config")
# The environment variables of the manifest as flags: the lab's programs share an environment.
FLAGS = {"METALLB_ML_SECRET_NAME": "--ml-secret-name", "METALLB_DEPLOYMENT": "--deployment"}

# (group, resource, names; none for all) -> verbs, in the namespace of both.
Rights = dict[tuple[str, str, tuple[str, ...]], set[str]]
RIGHTS: Rights = {
    ("", "services", ()): {"get", "list", "watch"},
    ("", "namespaces", ()): {"get", "list", "watch"},
    ("", "services/status", ()): {"patch"},
    ("", "events", ()): {"create", "patch"},
    ("", "configmaps", ()): {"get", "list", "watch", "create"},
    ("", "configmaps", ("config",)): {"patch"},
    ("", "configmaps", (STATE.index, *STATE.parts)): {"update", "delete"},
    ("", "secrets", ()): {"create"},
    ("", "secrets", ("memberlist",)): {"list"},
    ("apps", "deployments", ("controller",)): {"get"},
    ("coordination.k8s.io", "leases", ()): {"create"},
    ("coordination.k8s.io", "leases", ("metallb-controller",)): {"get", "update"},
    ("admissionregistration.k8s.io", WEBHOOK[0], WEBHOOK[1:]): {"get", "update"},
}
SPEAKERS_RIGHTS: Rights = {
    ("", "services", ()): {"get", "list", "watch"},
    ("", "endpoints", ()): {"get", "list", "watch"},
    ("", "nodes", ()): {"get", "list", "watch"},
    ("discovery.k8s.io", "endpointslices", ()): {"get", "list", "watch"},
    ("", "events", ()): {"create", "patch"},
    ("", "configmaps", ()): {"get", "list", "watch"},
    ("", "pods", ()): {"get", "list", "watch"},
    ("", "pods/status", ()): {"patch"},
    ("", "secrets", ("bgp-passwords",)): {"get"},
}
# Permitted to every user: reviews about itself.
ABOUT_ONESELF = {"authentication.k8s.io", "authorization.k8s.io"}


def shipped(kind: str, name: str) -> dict[str, Any]:
    """Return an object of the manifest."""
    objects = yaml.safe_load_all(MANIFEST.read_text())
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    item: dict[str, Any] = found
    return item


def start(rig: Rig) -> Program:
    """Start a controller as the manifest does, except for its port."""
    (container,) = shipped("Deployment", "controller")["spec"]["template"]["spec"]["containers"]
    environment = [f"{FLAGS[entry['name']]}={entry['value']}" for entry in container["env"]]
    return rig.lab.start_controller(*container["args"], *environment, "--port=0", name=REPLICA)


@pytest.fixture
def alone(rig: Rig) -> Iterator[Rig]:
    """Provide the objects of the manifest, and no controller."""
    rig.lab.controller.end()
    rig.apply(shipped("Deployment", "controller"))
    rig.apply(shipped("ValidatingWebhookConfiguration", WEBHOOK[1]))
    rig.apply_config()
    yield rig
    rig.lab.controller.end()  # also after a failure: other tests need its port
    rig.kubectl("delete", *WEBHOOK)
    for what in ("deployment/controller", "secret/memberlist", "lease/metallb-controller"):
        rig.kubectl("delete", "-n", NAMESPACE, what)
    rig.apply_config()
    rig.lab.start_controller()
    poll_until(rig.is_ready)


def logged(rig: Rig, message: str) -> bool:
    return any(line["msg"] == message for line in rig.log(REPLICA))


def stale_events(rig: Rig) -> int:
    """Return the number of configStale Events, of any controller."""
    events = rig.events("ConfigMap", "config", NAMESPACE)
    return sum(e["count"] for e in events if e["reason"] == "configStale")


def in_system(rig: Rig, *arguments: str) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(rig.kubectl("get", "-n", NAMESPACE, *arguments, "-o", "json"))
    return item


def test_rbac_permits_everything_that_the_controller_does(alone: Rig) -> None:
    controller = start(alone)
    poll_until(lambda: logged(alone, "leading from now on"))
    assert logged(alone, "secret succesfully created")
    secret = in_system(alone, "secret", "memberlist")
    deployment = in_system(alone, "deployment", "controller")
    assert secret["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    alone.add_service("rights", "wire")
    poll_until(lambda: alone.address("rights"))
    poll_until(lambda: alone.events("Service", "rights"))
    annotations = in_system(alone, "configmap", "config")["metadata"]["annotations"]
    assert STATUS in annotations
    poll_until(lambda: alone.stored().text == CONFIG)
    poll_until(lambda: in_system(alone, *WEBHOOK)["webhooks"][0]["clientConfig"].get("caBundle"))
    before = stale_events(alone)
    for _ in range(2):  # the second time the Event is patched
        alone.apply_config(BROKEN)
        poll_until(lambda: alone.config_status()["state"] == "refused", what="it is refused")
        alone.apply_config()
        poll_until(lambda: alone.config_status()["state"] == "applied")
    poll_until(lambda: stale_events(alone) >= before + 2)
    alone.delete_service("rights")
    controller.end()
    holder = in_system(alone, "lease", "metallb-controller")["spec"].get("holderIdentity", "")
    assert holder == "", "released"
    controller = start(alone)
    poll_until(lambda: logged(alone, "secret already exists, nothing to do"))
    controller.end()
    errors = [line for line in alone.log(REPLICA) if "403" in line.get("error", "")]
    assert not errors
    assert secret["data"]["secretkey"] not in str(alone.log(REPLICA))


@pytest.mark.parametrize(("user", "rights"), [(USER, RIGHTS), (SPEAKER, SPEAKERS_RIGHTS)])
def test_rbac_permits_nothing_else(rig: Rig, user: str, rights: Rights) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": NAMESPACE},
    }
    as_user = ("--as", user, "create", "--validate=false", "-f", "-", "-o", "json")
    answer = json.loads(rig.kubectl(*as_user, data=json.dumps(review)))
    found: Rights = {}
    for rule in answer["status"]["resourceRules"]:
        for group in set(rule["apiGroups"]) - ABOUT_ONESELF:
            for resource in rule["resources"]:
                names = tuple(rule.get("resourceNames", ()))
                found.setdefault((group, resource, names), set()).update(rule["verbs"])
    assert found == rights


@pytest.mark.parametrize(
    "question",
    [
        "create services",
        "update services",
        "delete services",
        "patch services",
        "update services --subresource=status",
        "list secrets",
        "get secrets/memberlist",
        "watch secrets",
        "update secrets/memberlist",
        "delete secrets/memberlist",
        "delete leases/metallb-controller",
        "update leases/another",
        "list leases",
        "patch configmaps/another",
        "update configmaps/config",
        "delete configmaps/config",
        "patch configmaps/config-state",
        "update configmaps/another",
        "update deployments/controller",
        "get deployments/another",
        "get nodes",
        "list pods",
        "create pods",
        "create serviceaccounts/controller --subresource=token",
        "list configmaps --namespace=default",
        "create secrets --namespace=default",
        "create leases --namespace=default",
        "update validatingwebhookconfigurations/another",
        "create validatingwebhookconfigurations",
        "impersonate users",
        "escalate clusterroles",
    ],
)
def test_rbac_refuses_the_controller(rig: Rig, question: str) -> None:
    refuses(rig, USER, question)


@pytest.mark.parametrize(
    "question",
    [
        "create leases",
        "list leases",
        "get leases/metallb-controller",
        "update leases/metallb-controller",
        "patch leases/metallb-controller",
        "delete leases/metallb-controller",
        "update leases/speaker-node1",
        "deletecollection leases",
        "list leases --namespace=kube-node-lease",
        "update leases --namespace=default",
        "list leases --all-namespaces",
        "update services --subresource=status",
        "patch services",
        "patch pods",
        "update nodes",
        "patch configmaps/config",
        "create configmaps",
        "update configmaps/config-state",
        "delete configmaps/config-state",
        "get secrets/memberlist",
        "list secrets",
        "watch secrets",
        "update secrets/bgp-passwords",
        "get secrets/bgp-passwords --namespace=default",
    ],
)
def test_rbac_refuses_a_speaker(rig: Rig, question: str) -> None:
    refuses(rig, SPEAKER, question)


@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "update", "delete"])
def test_rbac_separates_leases_of_speakers_from_the_controllers(rig: Rig, verb: str) -> None:
    rig.kubectl("apply", "-f", str(MANIFEST.with_name("membership-lease.yaml")))
    question = ("auth", "can-i", verb, "leases", "--as", SPEAKER)
    allowed = rig.try_kubectl(*question, f"--namespace={LEASE_NAMESPACE}")
    assert (allowed.returncode, allowed.stdout.strip()) == (0, "yes")
    refuses(rig, SPEAKER, f"{verb} leases/metallb-controller")
    refuses(rig, SPEAKER, f"patch leases --namespace={LEASE_NAMESPACE}")
    refuses(rig, USER, f"{verb} leases --namespace={LEASE_NAMESPACE}")


def refuses(rig: Rig, user: str, question: str) -> None:
    where = () if "-namespace" in question else (f"--namespace={NAMESPACE}",)
    done = rig.try_kubectl("auth", "can-i", *question.split(), *where, "--as", user)
    assert (done.returncode, done.stdout.strip()) == (1, "no")
