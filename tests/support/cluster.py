"""The lab as its operators see it: kubectl, arping, curl, the router's own words."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from support.parts import find_kubectl

from metallb_py.kube.config_state import LABEL, StateNames, Stored, decode
from metallb_py.kube.configmap import STATUS
from metallb_py.kube.objects import ConfigMap
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.enter import command
from metallb_py.lab.lab import METRICS_PORT, Lab
from metallb_py.lab.network import NODES, ROUTER, mac_of

CONFIG = """\
peers:
- peer-address: 172.30.0.1
  peer-asn: 64501
  my-asn: 64500
address-pools:
- name: wire
  protocol: layer2
  addresses: [172.30.0.200-172.30.0.219]
- name: routed
  protocol: bgp
  addresses: [198.51.100.0/24]
"""
T = TypeVar("T")


PATIENCE = 120.0
"""Seconds: a limit for what must happen, generous, for the machine may be busy."""


def eventually(question: Callable[[], T], seconds: float = PATIENCE, *, what: str = "") -> T:
    """Ask until the answer is true; return it. Fail with the last answer when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what or question}: not within {seconds} s: {answer}"
        time.sleep(0.02)


class Rig:
    """The lab and its operator's tools."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._kubectl = find_kubectl()

    def is_ready(self) -> bool:
        """Whether all daemons have a configuration and every session is up."""
        programs = ["controller", *self.lab.speakers]
        logs = [self.log(f"speaker-{p}" if p in self.lab.speakers else p) for p in programs]
        configured = all(any(e.get("event") == "configLoaded" for e in log) for log in logs)
        states = self.sessions().values()
        return configured and set(states) == {"Established"}

    def try_kubectl(self, *arguments: str, data: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl, which may fail."""
        kubeconfig = self.lab.control_plane.kubeconfig("admin")
        line = [self._kubectl, f"--kubeconfig={kubeconfig}", *arguments]
        return subprocess.run(line, input=data, capture_output=True, text=True, check=False)

    def kubectl(self, *arguments: str, data: str = "") -> str:
        done = self.try_kubectl(*arguments, data=data)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def apply(self, item: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", data=json.dumps(item))

    def apply_config(self, text: str = CONFIG) -> None:
        meta = {"namespace": NAMESPACE, "name": "config"}
        kind = {"apiVersion": "v1", "kind": "ConfigMap"}
        self.apply({**kind, "metadata": meta, "data": {"config": text}})

    def config_status(self) -> dict[str, Any]:
        """Return the state that the controller wrote onto the ConfigMap."""
        status: dict[str, Any] = json.loads(self._config_annotations()[STATUS])
        return status

    def stored(self) -> Stored:
        """Return what the controller stored of the configuration."""
        names = StateNames(NAMESPACE, "config")
        found = self.kubectl("get", "configmaps", "-n", NAMESPACE, "-l", LABEL, "-o", "json")
        objects = [msgspec.convert(item, ConfigMap) for item in json.loads(found)["items"]]
        return decode(names, {item.metadata.name: item for item in objects}) or Stored(None)

    def draining(self) -> list[dict[str, Any]]:
        """Return the pools that drain, as the controller stored them."""
        pools: list[dict[str, Any]] = json.loads(self.stored().draining or "[]")
        return pools

    def _config_annotations(self) -> dict[str, str]:
        item = self.kubectl("get", "configmap", "config", "-n", NAMESPACE, "-o", "json")
        annotations: dict[str, str] = json.loads(item)["metadata"].get("annotations", {})
        return annotations

    def add_service(self, name: str, pool: str, **spec: object) -> float:
        """Create a service; return when, on the monotonic clock."""
        annotations = {"metallb.universe.tf/address-pool": pool}
        item = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "default", "name": name, "annotations": annotations},
            "spec": {
                "type": "LoadBalancer",
                "selector": {"app": "web"},
                "ports": [{"port": 80}],
                **spec,
            },
        }
        self.apply(item)
        return time.monotonic()

    def delete_service(self, name: str) -> float:
        self.kubectl("delete", "service", name, "--wait=false")
        return time.monotonic()

    def service(self, name: str) -> dict[str, Any]:
        item: dict[str, Any] = json.loads(self.kubectl("get", "service", name, "-o", "json"))
        return item

    def address(self, name: str) -> str:
        entries = self.lab.cluster.get_service("default", name).ingress
        return entries[0].ip if entries else ""

    def in_client(self, *arguments: str) -> str:
        line = command("client", *arguments)
        return subprocess.run(line, capture_output=True, text=True, check=False).stdout

    def arping(self, address: str, count: int = 1, seconds: int = 1) -> list[str]:
        """Return the MAC of every answer that arping got, in lower case."""
        said = self.in_client(
            "arping", "-b", "-I", "eth0", "-c", str(count), "-w", str(seconds), address
        )
        return [mac.lower() for mac in re.findall(r"reply from \S+ \[(\S+)\]", said)]

    def owner(self, address: str) -> str:
        """Return the one node that answers ARP for an address.

        Nothing where none does, or where several do: one that hands over still does, for a moment.
        """
        answers = set(self.arping(address))
        if len(answers) != 1:
            return ""
        return {mac_of(node.name): node.name for node in NODES}.get("".join(answers), "")

    def page(self, address: str) -> str:
        return self.in_client("curl", "-s", "-m", "2", f"http://{address}/").strip()

    def frr(self, show: str) -> dict[str, Any]:
        socket = str(self.lab.folder / "frr")
        line = ["vtysh", "--vty_socket", socket, "-c", f"{show} json"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        answer: dict[str, Any] = json.loads(done.stdout or "{}")
        return answer

    def next_hops(self, address: str) -> set[str]:
        """Return the next hops that FRR put into its routing table."""
        routes = self.frr(f"show ip route {address}/32").get(f"{address}/32", [])
        return {hop["ip"] for route in routes for hop in route["nexthops"] if hop.get("fib")}

    def sessions(self) -> dict[str, str]:
        """Return the state of every BGP session, by node address."""
        peers = self.frr("show bgp ipv4 unicast summary").get("peers", {})
        return {address: peer["state"] for address, peer in peers.items()}

    def sessions_established(self) -> dict[str, int]:
        """Return how often each session came up."""
        peers = self.frr("show bgp neighbors")
        return {a: p["connectionsEstablished"] for a, p in peers.items() if a != ROUTER}

    def events(self, kind: str, name: str, namespace: str = "default") -> list[dict[str, Any]]:
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        said = self.kubectl(
            "get", "events", "-n", namespace, "--field-selector", selector, "-o", "json"
        )
        items: list[dict[str, Any]] = json.loads(said)["items"]
        return items

    def log(self, program: str) -> list[dict[str, Any]]:
        """Return a daemon's log."""
        lines = (self.lab.folder / f"{program}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def metric(self, machine: str, host: str, name: str) -> float | None:
        """Return the value of a metric without labels, None where there is no page."""
        url = f"http://{host}:{METRICS_PORT}/metrics"
        line = command(machine, "curl", "-s", "-m", "2", url)
        page = subprocess.run(line, capture_output=True, text=True, check=False).stdout
        found = re.search(rf"^{name} (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else None
