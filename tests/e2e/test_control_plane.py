"""kubectl on the embedded API server and on the real one: the same commands, the same results."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.kube.rig import Rig
from support.net.requirements import find_kubectl, require
from support.net.waiting import poll_until

from metallb_py.lab.processes import Programs, wait_until

pytestmark = pytest.mark.e2e
NAMESPACE = "kubectl-tests"


@dataclass
class KubectlError(Exception):
    """kubectl exited with a status other than 0."""

    stderr: str


@dataclass
class Kubectl:
    """kubectl in a namespace of its own."""

    kubeconfig: Path

    def __call__(self, *arguments: str, data: object = None, editor: str = "") -> str:
        line = [find_kubectl(), f"--kubeconfig={self.kubeconfig}", f"-n={NAMESPACE}", *arguments]
        done = subprocess.run(
            line,
            input=json.dumps(data),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"EDITOR": editor},
        )
        if done.returncode != 0:
            raise KubectlError(done.stderr)
        return done.stdout

    def read(self, *arguments: str) -> dict[str, Any]:
        item: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return item


@contextmanager
def embedded(folder: Path) -> Iterator[Path]:
    """Run the embedded server on loopback; provide its kubeconfig."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cluster = {"name": "lab", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "lab", "context": {"cluster": "lab", "user": ""}}
    config = {"clusters": [cluster], "contexts": [context], "current-context": "lab"}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    with Programs(folder) as programs:
        module = ["-m", "metallb_py.lab.apiserver", "127.0.0.1", str(port)]
        server = programs.start("apiserver", sys.executable, *module)
        wait_until("embedded API server", 20, listens, server)
        yield kubeconfig


@pytest.fixture(params=["embedded", "real"], scope="module")
def kubectl(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    """Provide kubectl on each of the two servers, with an empty namespace."""
    require(find_kubectl(), "kubectl")
    if request.param == "embedded":
        with embedded(tmp_path_factory.mktemp("embedded")) as kubeconfig:
            command = Kubectl(kubeconfig)
            command("create", "namespace", NAMESPACE)
            yield command
    else:
        rig: Rig = request.getfixturevalue("rig")
        command = Kubectl(rig.lab.control_plane.kubeconfig("admin"))
        command("create", "namespace", NAMESPACE)
        yield command
        command("delete", "namespace", NAMESPACE, "--wait=false")


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str, *ports: int, **metadata: object) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, **metadata},
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": "example.com/nobody",
            "selector": {"app": name},
            "ports": [{"name": f"p{port}", "port": port} for port in ports],
        },
    }


def fails(kubectl: Kubectl, reason: str, *arguments: str, data: object = None) -> None:
    with pytest.raises(KubectlError) as caught:
        kubectl(*arguments, data=data)
    assert reason in caught.value.stderr


def test_create_get_delete(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "made", "--from-literal=a=b")
    kubectl("create", "service", "loadbalancer", "made", "--tcp=80:8080")
    kubectl("create", "secret", "generic", "made", "--from-literal=a=b")
    assert kubectl.read("configmap", "made")["data"] == {"a": "b"}
    assert kubectl.read("secret", "made")["data"] == {"a": "Yg=="}
    spec = kubectl.read("service", "made")["spec"]
    assert spec["type"] == "LoadBalancer"
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    (port,) = spec["ports"]
    assert (port["port"], port["targetPort"], port["protocol"]) == (80, 8080, "TCP")
    fails(kubectl, "already exists", "create", "configmap", "made")
    for kind in ("configmap", "service", "secret"):
        kubectl("delete", kind, "made")
        fails(kubectl, "(NotFound)", "get", kind, "made")


def test_kubectl_get_prints_the_columns_of_a_service_table(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", data=service("shown", 80))
    head, row = kubectl("get", "service", "shown").splitlines()
    assert head.split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert row.split()[:2] == ["shown", "LoadBalancer"]
    assert row.split()[3] == "<pending>"
    assert "SELECTOR" in kubectl("get", "services", "-o", "wide")
    assert "Type:                     LoadBalancer" in kubectl("describe", "service", "shown")
    kubectl("delete", "service", "shown")


def test_apply_merges_and_removes_fields_no_longer_applied(kubectl: Kubectl) -> None:
    first = service("applied", 80, 443, labels={"keep": "1", "drop": "1"})
    assert "created" in kubectl("apply", "-f", "-", data=first)
    assert "unchanged" in kubectl("apply", "-f", "-", data=first)
    kubectl("label", "service", "applied", "foreign=1")
    second = service("applied", 80, 8443, labels={"keep": "2"})
    assert "configured" in kubectl("apply", "-f", "-", data=second)
    found = kubectl.read("service", "applied")
    assert found["metadata"]["labels"] == {"keep": "2", "foreign": "1"}
    assert [port["port"] for port in found["spec"]["ports"]] == [80, 8443]
    kubectl("delete", "service", "applied")


def test_edit(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", data=configmap("edited", config="before"))
    assert "edited" in kubectl("edit", "configmap", "edited", editor="sed -i s/before/after/")
    assert kubectl.read("configmap", "edited")["data"] == {"config": "after"}
    kubectl("delete", "configmap", "edited")


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge", {"data": {"a": None, "b": "2"}}),
        ("strategic", {"data": {"a": None, "b": "2"}}),
        (
            "json",
            [
                {"op": "remove", "path": "/data/a"},
                {"op": "add", "path": "/data/b", "value": "2"},
            ],
        ),
    ],
)
def test_patch(kubectl: Kubectl, kind: str, patch: object) -> None:
    name = f"patched-{kind}"
    kubectl("create", "-f", "-", data=configmap(name, a="1", c="3"))
    kubectl("patch", "configmap", name, f"--type={kind}", "-p", json.dumps(patch))
    assert kubectl.read("configmap", name)["data"] == {"b": "2", "c": "3"}
    kubectl("delete", "configmap", name)


def test_spec_and_status_subresource_are_written_separately(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", data=service("parted", 80))
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    both = json.dumps({"status": status, "spec": {"ports": [{"name": "x", "port": 99}]}})
    kubectl("patch", "service", "parted", "--type=merge", "--subresource=status", "-p", both)
    found = kubectl.read("service", "parted")
    assert [port["port"] for port in found["spec"]["ports"]] == [80]
    assert [entry["ip"] for entry in found["status"]["loadBalancer"]["ingress"]] == ["192.0.2.1"]
    kubectl("patch", "service", "parted", "--type=merge", "-p", both)
    found["metadata"].pop("resourceVersion")
    found["status"] = {}
    kubectl("replace", "-f", "-", data=found)
    found = kubectl.read("service", "parted")
    assert [entry["ip"] for entry in found["status"]["loadBalancer"]["ingress"]] == ["192.0.2.1"]
    kubectl("delete", "service", "parted")


def test_replace_with_a_stale_resource_version_conflicts(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", data=configmap("raced", a="1"))
    stale = kubectl.read("configmap", "raced")
    kubectl("patch", "configmap", "raced", "--type=merge", "-p", '{"data": {"a": "2"}}')
    fails(kubectl, "(Conflict)", "replace", "-f", "-", data={**stale, "data": {"a": "3"}})
    assert kubectl.read("configmap", "raced")["data"] == {"a": "2"}
    kubectl("delete", "configmap", "raced")


def test_selectors(kubectl: Kubectl) -> None:
    for name, tier in (("one", "front"), ("two", "back")):
        item = configmap(name)
        item["metadata"]["labels"] = {"app": "web", "tier": tier}
        kubectl("create", "-f", "-", data=item)

    def names(*selector: str) -> set[str]:
        items = kubectl.read("configmaps", *selector)["items"]
        return {item["metadata"]["name"] for item in items}

    assert names("-l", "app=web") == {"one", "two"}
    assert names("-l", "app=web,tier!=back") == {"one"}
    assert names("-l", "tier in (back)") == {"two"}
    assert names("-l", "!app") & {"one", "two"} == set()
    assert names("--field-selector", "metadata.name=two") == {"two"}
    kubectl("delete", "configmap", "one", "two")


def test_wait_and_watch(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", data=configmap("awaited", a="1"))
    line = [find_kubectl(), f"--kubeconfig={kubectl.kubeconfig}", f"-n={NAMESPACE}"]
    watching = [*line, "get", "configmap", "awaited", "-w", "-o", "jsonpath={.data.a}{'\\n'}"]
    with subprocess.Popen(watching, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "1\n"
        kubectl("patch", "configmap", "awaited", "--type=merge", "-p", '{"data": {"a": "2"}}')
        assert watch.stdout.readline() == "2\n"
        watch.kill()
    kubectl("wait", "--for=jsonpath={.data.a}=2", "configmap/awaited", "--timeout=10s")
    kubectl("delete", "configmap", "awaited", "--wait=false")
    kubectl("wait", "--for=delete", "configmap/awaited", "--timeout=10s")


def test_pods_become_endpoints(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", data=service("backed", 80))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "backed-1", "labels": {"app": "backed"}},
        "spec": {"nodeName": "node1", "containers": [{"name": "main", "image": "lab"}]},
    }
    kubectl("create", "-f", "-", data=pod)

    def report(ready: str) -> None:
        conditions = [{"type": "Ready", "status": ready}]
        status = {"phase": "Running", "podIP": "10.244.1.9", "podIPs": [{"ip": "10.244.1.9"}]}
        patch = json.dumps({"status": {**status, "conditions": conditions}})
        kubectl("patch", "pod", "backed-1", "--type=merge", "--subresource=status", "-p", patch)

    def endpoints() -> list[tuple[str, bool, str]]:
        selector = "kubernetes.io/service-name=backed"
        items = kubectl.read("endpointslices", "-l", selector)["items"]
        return [
            (e["addresses"][0], e["conditions"]["ready"], e["nodeName"])
            for item in items
            for e in item["endpoints"] or ()
        ]

    report("True")
    poll_until(lambda: endpoints() == [("10.244.1.9", True, "node1")], what="a ready endpoint")
    report("False")
    poll_until(lambda: endpoints() == [("10.244.1.9", False, "node1")], what="one not ready")
    kubectl("delete", "pod", "backed-1", "--force", "--grace-period=0")
    poll_until(lambda: endpoints() == [], what="no endpoint")
    kubectl("delete", "service", "backed")
