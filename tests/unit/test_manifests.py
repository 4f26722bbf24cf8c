"""Rules of Pod Security and kube-linter that apply here, for every workload of manifests/.

A rule that a workload breaks on purpose is in EXCEPTIONS, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
Rule = Callable[[Object, Object], bool]

ROOT = Path(__file__).parents[2]
OBJECTS: list[Object] = [
    item
    for path in sorted((ROOT / "manifests").rglob("*.yaml"))
    for item in yaml.safe_load_all(path.read_text())
]
WORKLOADS = [o for o in OBJECTS if o["kind"] in ("Deployment", "DaemonSet", "StatefulSet", "Job")]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def pod_of(workload: Object) -> Object:
    pod: Object = workload["spec"]["template"]["spec"]
    return pod


def setting(pod: Object, container: Object, name: str) -> object:
    """Return the value in force of a security context's setting."""
    own = container.get("securityContext", {})
    return own.get(name, pod.get("securityContext", {}).get(name))


def probes_are_cheap_with_long_timeouts(_: Object, container: Object) -> bool:
    paths = [container[probe]["httpGet"]["path"] for probe in PROBES]
    long_timeouts = all(container[probe]["timeoutSeconds"] >= 5 for probe in PROBES)
    return paths == ["/healthz", "/healthz", "/readyz"] and long_timeouts


def ports_of_probes_exist(_: Object, container: Object) -> bool:
    names = {port["name"] for port in container["ports"]}
    return all(container[probe]["httpGet"]["port"] in names for probe in PROBES)


def only_net_raw_is_added(_: Object, container: Object) -> bool:
    capabilities = container["securityContext"]["capabilities"]
    added: list[str] = capabilities.get("add", [])
    return bool(capabilities["drop"] == ["ALL"]) and set(added) <= {"NET_RAW"}


def memory_is_requested_and_limited(_: Object, container: Object) -> bool:
    resources = container["resources"]
    return "memory" in resources["limits"] and {"cpu", "memory"} <= resources["requests"].keys()


RULES: dict[str, Rule] = {
    "seccomp profile of the runtime": lambda pod, c: (
        setting(pod, c, "seccompProfile") == {"type": "RuntimeDefault"}
    ),
    "runs as non-root": lambda pod, c: (
        setting(pod, c, "runAsNonRoot") is True and bool(setting(pod, c, "runAsUser"))
    ),
    "no privilege escalation": lambda pod, c: setting(pod, c, "allowPrivilegeEscalation") is False,
    "not privileged": lambda pod, c: not setting(pod, c, "privileged"),
    "read-only root file system": lambda pod, c: (
        c["securityContext"]["readOnlyRootFilesystem"] is True
    ),
    "all capabilities dropped": only_net_raw_is_added,
    "no capability added": lambda pod, c: not c["securityContext"]["capabilities"].get("add"),
    "resources": memory_is_requested_and_limited,
    # A limit of CPU throttles, and a throttled speaker answers ARP late (metallb#603).
    "no CPU limit": lambda pod, c: "cpu" not in c["resources"]["limits"],
    "probes": probes_are_cheap_with_long_timeouts,
    "probes' ports": ports_of_probes_exist,
    "image has a tag": lambda pod, c: ":" in c["image"] and not c["image"].endswith(":latest"),
    "no host network": lambda pod, c: not pod.get("hostNetwork"),
    "no other host namespace": lambda pod, c: not (pod.get("hostPID") or pod.get("hostIPC")),
    "no host path": lambda pod, c: not [v for v in pod.get("volumes", ()) if "hostPath" in v],
    "no host port but the network's": lambda pod, c: (
        not [port for port in c["ports"] if "hostPort" in port]
    ),
    "priority": lambda pod, c: (
        pod.get("priorityClassName") in ("system-node-critical", "system-cluster-critical")
    ),
    "service account of its own": lambda pod, c: (
        pod.get("serviceAccountName")
        not in (
            None,
            "default",
        )
    ),
    "token mounted explicitly": lambda pod, c: pod.get("automountServiceAccountToken") is True,
    "no secret as text in the environment": lambda pod, c: (
        not [entry for entry in c.get("env", ()) if "KEY" in entry["name"] and "value" in entry]
    ),
}

EXCEPTIONS = {
    ("speaker", "no host network"): "it answers ARP on the node's own interfaces",
    ("speaker", "no capability added"): "NET_RAW, for those answers",
    ("speaker", "runs as non-root"): "Kubernetes gives capabilities to root alone",
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w["metadata"]["name"])
def test_every_container_complies_with_the_rule(workload: Object, rule: str) -> None:
    pod = pod_of(workload)
    broken = [c["name"] for c in pod["containers"] if not RULES[rule](pod, c)]
    if (workload["metadata"]["name"], rule) in EXCEPTIONS:
        assert broken, "the exception is not needed any more"
    else:
        assert not broken


def test_workloads_are_controller_and_speaker() -> None:
    assert {w["metadata"]["name"] for w in WORKLOADS} == {"controller", "speaker"}


def selected_by(kind: str, path: tuple[str, ...]) -> list[Object]:
    """Return the label selectors of all objects of a kind."""
    found = []
    for item in OBJECTS:
        if item["kind"] == kind:
            value = item
            for key in path:
                value = value[key]
            found.append(value)
    return found


def labels_of(workload: Object) -> Object:
    labels: Object = workload["spec"]["template"]["metadata"]["labels"]
    return labels


@pytest.mark.parametrize(
    "workload",
    [w for w in WORKLOADS if w["spec"].get("replicas", 1) > 1],
    ids=lambda w: w["metadata"]["name"],
)
def test_several_replicas_have_a_disruption_budget_and_spread(workload: Object) -> None:
    budgets = selected_by("PodDisruptionBudget", ("spec", "selector", "matchLabels"))
    assert labels_of(workload) in budgets
    assert "podAntiAffinity" in pod_of(workload)["affinity"]


@pytest.mark.parametrize(
    "workload",
    [w for w in WORKLOADS if not pod_of(w).get("hostNetwork")],
    ids=lambda w: w["metadata"]["name"],
)
def test_pod_without_host_network_has_a_network_policy_for_its_ports(workload: Object) -> None:
    policies = [
        item["spec"]
        for item in OBJECTS
        if item["kind"] == "NetworkPolicy"
        and item["spec"]["podSelector"]["matchLabels"] == labels_of(workload)
    ]
    (policy,) = policies
    assert policy["policyTypes"] == ["Ingress"]
    allowed = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    (container,) = pod_of(workload)["containers"]
    assert allowed == {port["name"] for port in container["ports"]}


def test_service_accounts_do_not_automount_their_token() -> None:
    accounts = [item for item in OBJECTS if item["kind"] == "ServiceAccount"]
    assert accounts
    assert all(item["automountServiceAccountToken"] is False for item in accounts)


def test_no_role_has_wildcards_or_may_escalate() -> None:
    rules = [
        rule
        for item in OBJECTS
        if item["kind"] in ("Role", "ClusterRole")
        for rule in item["rules"]
    ]
    assert rules
    for rule in rules:
        everything = [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
        assert "*" not in everything
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        assert not {"pods/exec", "pods/attach", "serviceaccounts/token"} & set(rule["resources"])


def test_every_service_reaches_a_port_of_a_workload() -> None:
    services = [item for item in OBJECTS if item["kind"] == "Service"]
    assert services
    for service in services:
        (workload,) = (w for w in WORKLOADS if labels_of(w) == service["spec"]["selector"])
        names = {p["name"] for c in pod_of(workload)["containers"] for p in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
