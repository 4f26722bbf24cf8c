"""Machines and links of the lab: network namespaces, one bridge, pods behind their nodes.

client ─┐                                   router
        ├── bridge (172.30.0.0/24) ──┬──────┘
lab ────┘     (control plane)        ├── node1 ── pod1 (10.244.1.0/24)
                                     ├── node2 ── pod2 (10.244.2.0/24)
                                     └── node3
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute, NetNS, netns

from metallb_py.lab.enter import NAMESPACES

WIRE = "wire"
CONTROL_PLANE = "172.30.0.2"
ROUTER = "172.30.0.1"
CLIENT = "172.30.0.50"
PREFIX_LENGTH = 24
PODS_CIDR = "10.244.0.0/16"


@dataclass(frozen=True, slots=True)
class Pod:
    """Machine of a pod, behind a node."""

    name: str
    address: str
    gateway: str
    subnet: str


@dataclass(frozen=True, slots=True)
class Node:
    """Machine of a node."""

    name: str
    address: str
    pod: Pod | None = None


NODES = (
    Node("node1", "172.30.0.11", Pod("pod1", "10.244.1.2", "10.244.1.1", "10.244.1.0/24")),
    Node("node2", "172.30.0.12", Pod("pod2", "10.244.2.2", "10.244.2.1", "10.244.2.0/24")),
    Node("node3", "172.30.0.13"),
)


def build() -> None:
    """Create everything. The caller's own namespace becomes the control plane's machine."""
    Path(NAMESPACES).mkdir(parents=True, exist_ok=True)
    for name in (WIRE, "router", "client", *(node.name for node in NODES)):
        _add_namespace(name)
    with _machine(WIRE) as wire:
        wire.link("add", ifname="br0", kind="bridge", br_stp_state=0)
        _up(wire, "br0")
    _connect("router", ROUTER)
    _connect("client", CLIENT)
    with _machine("client") as client:
        client.route("add", dst="default", gateway=ROUTER)
    for node in NODES:
        _connect(node.name, node.address)
    _connect_control_plane()
    for node in NODES:
        _add_pod(node)
    _route_pods()
    for name in ("router", *(node.name for node in NODES)):
        _sysctl(name, "net.ipv4.ip_forward", "1")
    _sysctl("router", "net.ipv4.fib_multipath_hash_policy", "1")


@contextmanager
def _machine(name: str) -> Iterator[NetNS]:
    machine = NetNS(name)
    try:
        yield machine
    finally:
        machine.close()


def _add_namespace(name: str) -> None:
    netns.create(name)
    with _machine(name) as machine:
        _up(machine, "lo")


def _connect(name: str, address: str) -> None:
    """Connect a machine to the bridge, by its eth0."""
    with _machine(WIRE) as wire:
        wire.link(
            "add",
            ifname=name,
            kind="veth",
            peer={"ifname": "eth0", "net_ns_fd": f"{NAMESPACES}/{name}"},
        )
        bridge = wire.link_lookup(ifname="br0")[0]
        wire.link("set", index=wire.link_lookup(ifname=name)[0], master=bridge, state="up")
    with _machine(name) as machine:
        _address(machine, "eth0", address, PREFIX_LENGTH)


def _connect_control_plane() -> None:
    """Connect the control plane's machine: this process's own namespace."""
    with IPRoute() as here:
        _up(here, "lo")
        here.link("add", ifname="eth0", kind="veth", peer="lab")
        here.link("set", index=here.link_lookup(ifname="lab")[0], net_ns_fd=f"{NAMESPACES}/{WIRE}")
        _address(here, "eth0", CONTROL_PLANE, PREFIX_LENGTH)
    with _machine(WIRE) as wire:
        bridge = wire.link_lookup(ifname="br0")[0]
        wire.link("set", index=wire.link_lookup(ifname="lab")[0], master=bridge, state="up")


def _add_pod(node: Node) -> None:
    pod = node.pod
    if pod is None:
        return
    _add_namespace(pod.name)
    with _machine(node.name) as machine:
        machine.link(
            "add",
            ifname="pod",
            kind="veth",
            peer={"ifname": "eth0", "net_ns_fd": f"{NAMESPACES}/{pod.name}"},
        )
        _address(machine, "pod", pod.gateway, PREFIX_LENGTH)
    with _machine(pod.name) as machine:
        _address(machine, "eth0", pod.address, PREFIX_LENGTH)
        machine.route("add", dst="default", gateway=pod.gateway)


def _route_pods() -> None:
    for node in NODES:
        with _machine(node.name) as machine:
            machine.route("add", dst="default", gateway=ROUTER)
            for other in NODES:
                if other.pod is not None and other is not node:
                    machine.route("add", dst=other.pod.subnet, gateway=other.address)


def _address(machine: IPRoute, name: str, address: str, length: int) -> None:
    index = machine.link_lookup(ifname=name)[0]
    machine.addr("add", index=index, address=address, prefixlen=length)
    machine.link("set", index=index, state="up")


def _up(machine: IPRoute, name: str) -> None:
    machine.link("set", index=machine.link_lookup(ifname=name)[0], state="up")


def _sysctl(name: str, key: str, value: str) -> None:
    """Set a value inside a machine: the files are those of the namespace that opens them."""
    netns.pushns(name)
    try:
        Path("/proc/sys", *key.split(".")).write_text(value)
    finally:
        netns.popns()


def mac_of(machine: str, interface: str = "eth0") -> str:
    """Return the hardware address of a machine's link."""
    with _machine(machine) as found:
        index = found.link_lookup(ifname=interface)[0]
        return str(found.get_links(index)[0].get("address"))
