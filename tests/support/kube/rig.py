"""The lab and an operator's tools for it: kubectl, arping, curl, and vtysh on the router."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import Any

import msgspec
from support.net.requirements import find_kubectl

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


class Rig:
    """The lab and an operator's tools for it."""

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
        """Run kubectl without a check of its exit status."""
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
        """Return the configuration status in the ConfigMap's annotation."""
        status: dict[str, Any] = json.loads(self._config_annotations()[STATUS])
        return status

    def stored(self) -> Stored:
        """Return the configuration state that the controller stored."""
        names = StateNames(NAMESPACE, "config")
        found = self.kubectl("get", "configmaps", "-n", NAMESPACE, "-l", LABEL, "-o", "json")
        objects = [msgspec.convert(item, ConfigMap) for item in json.loads(found)["items"]]
        return decode(names, {item.metadata.name: item for item in objects}) or Stored(None)

    def draining(self) -> list[dict[str, Any]]:
        """Return the draining pools that the controller stored."""
        pools: list[dict[str, Any]] = json.loads(self.stored().draining or "[]")
        return pools

    def _config_annotations(self) -> dict[str, str]:
        item = self.kubectl("get", "configmap", "config", "-n", NAMESPACE, "-o", "json")
        annotations: dict[str, str] = json.loads(item)["metadata"].get("annotations", {})
        return annotations

    def add_service(self, name: str, pool: str, **spec: object) -> float:
        """Create a service; return the monotonic time of its creation."""
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
        """Return the MAC address of every reply that arping received, in lower case."""
        output = self.in_client(
            "arping", "-b", "-I", "eth0", "-c", str(count), "-w", str(seconds), address
        )
        return [mac.lower() for mac in re.findall(r"reply from \S+ \[(\S+)\]", output)]

    def owner(self, address: str) -> str:
        """Return the only node that answers ARP for an address; empty if none or several do.

        Several do during a handover: the previous owner still answers for a short time.
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
        """Return the next hops that FRR installed in the forwarding table."""
        routes = self.frr(f"show ip route {address}/32").get(f"{address}/32", [])
        return {hop["ip"] for route in routes for hop in route["nexthops"] if hop.get("fib")}

    def sessions(self) -> dict[str, str]:
        """Return the state of every BGP session, by node address."""
        peers = self.frr("show bgp ipv4 unicast summary").get("peers", {})
        return {address: peer["state"] for address, peer in peers.items()}

    def sessions_established(self) -> dict[str, int]:
        """Return how often each session was established, by node address."""
        peers = self.frr("show bgp neighbors")
        return {a: p["connectionsEstablished"] for a, p in peers.items() if a != ROUTER}

    def events(self, kind: str, name: str, namespace: str = "default") -> list[dict[str, Any]]:
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        output = self.kubectl(
            "get", "events", "-n", namespace, "--field-selector", selector, "-o", "json"
        )
        items: list[dict[str, Any]] = json.loads(output)["items"]
        return items

    def log(self, program: str) -> list[dict[str, Any]]:
        """Return a daemon's log entries."""
        lines = (self.lab.folder / f"{program}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def metric(self, machine: str, host: str, name: str) -> float | None:
        """Return the value of a metric without labels; None if it cannot be fetched."""
        url = f"http://{host}:{METRICS_PORT}/metrics"
        line = command(machine, "curl", "-s", "-m", "2", url)
        page = subprocess.run(line, capture_output=True, text=True, check=False).stdout
        found = re.search(rf"^{name} (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else None
