"""Planned moves of layer 2 addresses under traffic, and interface reports, on a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

from metallb_py.lab.enter import command
from metallb_py.lab.network import NODES, mac_of

pytestmark = pytest.mark.e2e
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
PLANNED_GAP = 0.2
# Requests a page continuously; on input, prints the longest time without one, and ends.
CLIENT = """
import http.client, select, sys, time
address, longest = sys.argv[1], 0.0
last = time.monotonic()
print("asking", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    connection = http.client.HTTPConnection(address, timeout=0.1)
    try:
        connection.request("GET", "/")
        served = connection.getresponse().read() != b""
    except OSError:
        served = False
    finally:
        connection.close()
    now = time.monotonic()
    if served:
        longest, last = max(longest, now - last), now
    time.sleep(0.005)
print(max(longest, time.monotonic() - last), flush=True)
"""


class PageClient:
    """A client in the lab that requests pages from an address."""

    def __init__(self, address: str) -> None:
        line = command("client", sys.executable, "-c", CLIENT, address)
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "asking\n"

    def longest_gap(self) -> float:
        """End, and return the longest time without an answer, in seconds."""
        output, _ = self._process.communicate("\n", timeout=10)
        return float(output)


def who_has(rig: Rig, address: str) -> tuple[int, list[str]]:
    """Run ``metallb-py who-has`` on the client, with the administrator's credentials."""
    kubeconfig = f"--kubeconfig={rig.lab.control_plane.kubeconfig('admin')}"
    arguments = ("-m", "metallb_py.cli", "who-has", address, kubeconfig)
    line = command("client", sys.executable, *arguments)
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


class Move:
    """A service whose address moves while a client uses it."""

    def __init__(self, rig: Rig, name: str, **spec: object) -> None:
        self._rig = rig
        self._name = name
        rig.add_service(name, "wire", **spec)
        self.address = poll_until(lambda: rig.address(name))
        self.owner = poll_until(lambda: rig.owner(self.address))
        poll_until(lambda: rig.page(self.address))
        self._client = PageClient(self.address)

    def moved(self) -> None:
        """Wait until another node alone answers; check the client's longest gap."""
        poll_until(lambda: self._rig.owner(self.address) not in ("", self.owner), what="it moves")
        poll_until(
            lambda: who_has(self._rig, self.address)[0] == 0, what="the elected node alone answers"
        )
        gap = self._client.longest_gap()
        print(f"{self._name}: {gap * 1000:.0f} ms at the most without an answer")
        assert gap < PLANNED_GAP * 5, "far above the target, even for a busy machine"

    def end(self, *, returns: bool) -> None:
        if returns:
            poll_until(lambda: self._rig.owner(self.address) == self.owner, what="it returns")
        self._rig.delete_service(self._name)


@pytest.fixture
def pods(rig: Rig) -> Iterator[dict[str, str]]:
    """The name of the web pod of each node; all are there again afterwards."""
    yield {node.name: node.pod.name for node in NODES if node.pod is not None}
    for node in NODES:
        if node.pod is not None:
            rig.kubectl("delete", "pod", node.pod.name, "--force", "--ignore-not-found")
            rig.lab.cluster.add_pod(node, node.pod.name, node.pod.address, {"app": "web"})


def test_traffic_policy_local_moves_before_its_endpoint_terminates(
    rig: Rig, pods: dict[str, str]
) -> None:
    move = Move(rig, "local-endpoint-ends", externalTrafficPolicy="Local")
    assert rig.page(move.address) == pods[move.owner]
    # As in a rollout: the pod has a grace period, and serves until its end.
    rig.kubectl("delete", "pod", pods[move.owner], "--grace-period=30", "--wait=false")
    poll_until(lambda: rig.page(move.address) not in ("", pods[move.owner]), what="traffic follows")
    rig.kubectl("delete", "pod", pods[move.owner], "--force")
    move.moved()
    move.end(returns=False)


def test_an_excluded_node_hands_over(rig: Rig) -> None:
    move = Move(rig, "node-is-excluded")
    rig.kubectl("label", "node", move.owner, f"{EXCLUDED}=")
    move.moved()
    rig.kubectl("label", "node", move.owner, f"{EXCLUDED}-")
    move.end(returns=True)


def test_speaker_shutdown_hands_over(rig: Rig) -> None:
    move = Move(rig, "speaker-ends")
    # As in a rollout of the DaemonSet: the pod is deleted first, then its process is ended.
    pod = ("pod", f"speaker-{move.owner}", "-n", "metallb-system")
    rig.kubectl("delete", *pod, "--grace-period=30", "--wait=false")
    rig.lab.speakers[move.owner].end()
    move.moved()
    rig.kubectl("delete", *pod, "--force")
    rig.lab.start_speaker(next(node for node in NODES if node.name == move.owner))
    move.end(returns=True)


def test_each_speaker_annotates_its_pod_with_its_interfaces(rig: Rig) -> None:
    for node in NODES:
        name = f"speaker-{node.name}"

        def reported(name: str = name) -> dict[str, dict[str, object]]:
            item = json.loads(rig.kubectl("get", "pod", name, "-n", "metallb-system", "-o", "json"))
            text = item["metadata"].get("annotations", {}).get("metallb.universe.tf/interfaces")
            found: dict[str, dict[str, object]] = json.loads(text or "{}")
            return found

        interfaces = poll_until(reported, what="the annotation")
        (interface,) = (each for each in interfaces.values() if each["mac"] == mac_of(node.name))
        assert "172.30.0.0/24" in str(interface["subnets"])


FAR = """\
- name: far
  protocol: layer2
  addresses: [198.18.0.7/32]
- name: right
  protocol: layer2
  addresses: [172.30.0.240/32]
  node-selectors:
  - match-labels: {kubernetes.io/hostname: node3}
"""


def test_off_subnet_address_gets_an_event_and_node_selectors_apply(rig: Rig) -> None:
    rig.apply_config(CONFIG.rstrip() + "\n" + FAR)
    rig.kubectl("label", "node", "node3", "kubernetes.io/hostname=node3", "--overwrite")
    rig.add_service("far", "far")
    rig.add_service("right", "right")
    message = 'no node is on the subnet of ["198.18.0.7"]'
    poll_until(lambda: message in str(rig.events("Service", "far")), what="the Event")
    address = poll_until(lambda: rig.address("right"))
    assert poll_until(lambda: rig.owner(address)) == "node3"
    rig.delete_service("far")
    rig.delete_service("right")
    rig.apply_config()
    poll_until(lambda: rig.config_status()["state"] == "applied")


def test_address_conflict_is_reported_in_an_event(rig: Rig) -> None:
    rig.in_client("ip", "address", "add", "172.30.0.219/32", "dev", "eth0")
    try:
        rig.add_service("taken", "wire", loadBalancerIP="172.30.0.219")
        poll_until(lambda: rig.address("taken"))
        mac = json.loads(rig.in_client("ip", "-j", "link", "show", "eth0"))[0]["address"]
        message = f"the host with MAC {mac}"
        poll_until(lambda: message in str(rig.events("Service", "taken")), what="the Event")
    finally:
        rig.in_client("ip", "address", "del", "172.30.0.219/32", "dev", "eth0")
        rig.delete_service("taken")


def test_who_has_names_the_answering_node_and_the_elected_one(rig: Rig) -> None:
    rig.add_service("asked", "wire")
    address = poll_until(lambda: rig.address("asked"))
    owner = poll_until(lambda: rig.owner(address))
    status, (answer, verdict) = who_has(rig, address)
    assert answer == f"{mac_of(owner)}  {owner}  elected"
    assert verdict.startswith(f"{owner} should answer for {address} (of default/asked): ")
    assert status == 0
    rig.delete_service("asked")
    poll_until(lambda: rig.owner(address) == "")
    no_owner = f"no node should answer for {address}: no service has this address"
    assert who_has(rig, address) == (1, [f"no host answers for {address}", no_owner])
