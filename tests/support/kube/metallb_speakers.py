"""Real MetalLB 0.12 speakers beside ours in the lab, and a survey of the owners of addresses.

MetalLB is not part of this project: the path of its speaker is given in the environment.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, assert_never

from scapy.layers.l2 import ARP, Ether
from support.kube.services_admin import ServicesAdmin
from support.layer2.client_link import BROADCAST, ETH_P_ARP, SO_RCVBUFFORCE
from support.net.isolated import set_port
from support.net.namespaces import inside

from metallb_py.lab.cluster import Object
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.lab import KEY_NAME, METRICS_PORT, Lab
from metallb_py.lab.network import CLIENT, NODES, Node, mac_of
from metallb_py.lab.processes import Program, wait_until
from speaker.layer2.candidates import SPEAKER_LABELS

POOL = "172.30.0.51-172.30.0.250"
ADDRESSES = tuple(f"172.30.0.{number}" for number in range(51, 251))
_START_MESSAGE = "MetalLB speaker starting"
_BURST = 40  # the limit of requests that a node's socket has to queue

# Without our additional eligibility checks, so that the election is the same as MetalLB's.
_LIKE_METALLB = ("--membership=memberlist", "--l2-any-interface", "--ignore-exclude-lb")

Owners = Mapping[str, frozenset[str]]
"""The names of the nodes that answer ARP, by address."""


class Kind(StrEnum):
    """The implementation of a speaker."""

    METALLB = "metallb"
    OURS = "ours"


def elected(address: str, members: Iterable[str]) -> str:
    """Return the node that MetalLB elects: the first by the SHA-256 of ``<node>#<address>``."""
    return min(members, key=lambda name: sha256(f"{name}#{address}".encode()).digest())


class ArpSurvey:
    """A survey of the owners of addresses, by ARP requests from the client."""

    def __init__(self) -> None:
        with inside("client"):
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ARP)
            )
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            self._socket.bind(("eth0", ETH_P_ARP))
        self._mac: bytes = self._socket.getsockname()[4]
        self._nodes = {mac_of(node.name): node.name for node in NODES}
        self._request = cache(self._make_request)

    def close(self) -> None:
        self._socket.close()

    def answers(self, addresses: Iterable[str], seconds: float = 0.3) -> Owners:
        """Send a request for each address; return the nodes that reply.

        Replies are accepted until ``seconds`` after the last request.
        """
        found: dict[str, set[str]] = {address: set() for address in addresses}
        list(self._replies(0))
        for number, address in enumerate(found, 1):
            self._socket.send(self._request(address))
            if number % _BURST == 0:
                self._collect(found, 0.02)
        self._collect(found, seconds)
        return {address: frozenset(names) for address, names in found.items()}

    def first_answer(self, address: str, *, not_of: str, within: float) -> tuple[float, str]:
        """Send a request every 10 ms; return monotonic time and node of the first reply.

        Replies of ``not_of`` are skipped. Raises TimeoutError.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self._socket.send(self._request(address))
            for target, name in self._replies(0.01):
                if target == address and name != not_of:
                    return time.monotonic(), name
        raise TimeoutError(f"{address}: no other answer within {within:g} s")

    def _collect(self, found: dict[str, set[str]], seconds: float) -> None:
        for address, name in self._replies(seconds):
            if address in found:
                found[address].add(name)

    def _replies(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Yield address and node of each ARP reply to the client in this time."""
        deadline = time.monotonic() + seconds
        while select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            frame = self._socket.recv(2048)
            if frame.startswith(self._mac):  # gratuitous ones are broadcast
                answer = Ether(frame)[ARP]
                yield answer.psrc, self._nodes.get(answer.hwsrc, answer.hwsrc)

    def _make_request(self, address: str) -> bytes:
        mac = self._mac.hex(":")
        frame = Ether(dst=BROADCAST, src=mac) / ARP(op=1, hwsrc=mac, psrc=CLIENT, pdst=address)
        return bytes(frame).ljust(60, b"\0")


@dataclass
class Speakers:
    """The speakers of the nodes, of both kinds."""

    lab: Lab
    metallb: Path
    kinds: dict[str, Kind]
    alive: set[str] = field(default_factory=set)
    _running: dict[str, Program] = field(default_factory=dict)

    def start(self, node: Node) -> None:
        kind = self.kinds[node.name]
        match kind:
            case Kind.METALLB:
                program = self._start_metallb(node)
            case Kind.OURS:
                program = self.lab.start_speaker(node, *_LIKE_METALLB)
            case _:
                assert_never(kind)
        self._running[node.name] = program
        self.alive.add(node.name)

    def kill(self, node: Node) -> None:
        """Kill a speaker (SIGKILL)."""
        self.alive.discard(node.name)
        self._running[node.name].kill()

    def end(self, node: Node) -> None:
        """Shut a speaker down, and wait for its end."""
        self.alive.discard(node.name)
        self._running[node.name].end()

    def cut(self, node: Node) -> None:
        """Set a node's link down."""
        self.alive.discard(node.name)
        set_port(node.name, "down")

    def mend(self, node: Node) -> None:
        """Set a node's link up."""
        set_port(node.name, "up")
        self.alive.add(node.name)

    def living(self, kind: Kind) -> list[Node]:
        """Return the nodes with an alive speaker of this kind."""
        return [n for n in NODES if self.kinds[n.name] is kind and n.name in self.alive]

    def owners(self) -> Owners:
        """Return the owner of each address by MetalLB's election among the alive speakers."""
        return {address: frozenset({elected(address, self.alive)}) for address in ADDRESSES}

    def announced(self, node: Node) -> set[str]:
        """Return the addresses that a node's MetalLB announces, according to its log."""
        found: dict[str, list[str]] = {}
        for event in self.log(node):
            match event.get("event"):
                case "serviceAnnounced":
                    found[str(event["service"])] = [str(ip) for ip in event["ips"]]
                case "serviceWithdrawn":
                    found.pop(str(event["service"]), None)
        return {address for addresses in found.values() for address in addresses}

    def log(self, node: Node) -> list[dict[str, Any]]:
        """Return the log entries of a node's MetalLB since its last start."""
        text = self._running[node.name].log.read_text()
        _, _, last = text.rpartition(_START_MESSAGE)
        lines = last.splitlines()[1:]
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def _start_metallb(self, node: Node) -> Program:
        secret = (self.lab.folder / "memberlist" / KEY_NAME).read_text()
        return self.lab.programs.start(
            f"metallb-{node.name}",
            str(self.metallb),
            f"--kubeconfig={self.lab.control_plane.kubeconfig('speaker')}",
            f"--namespace={NAMESPACE}",
            f"--port={METRICS_PORT}",
            f"--host={node.address}",
            f"--node-name={node.name}",
            f"--ml-bindaddr={node.address}",
            f"--ml-labels={SPEAKER_LABELS}",
            f"--ml-secret-key={secret}",
            machine=node.name,
        )


def make_services(lab: Lab) -> None:
    """Create a layer 2 pool and a service for each of its addresses; wait for the assignments."""
    config = f"address-pools: [{{name: all, protocol: layer2, addresses: [{POOL}]}}]"
    meta = {"namespace": NAMESPACE, "name": "config"}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    services = [_service(f"s{number}") for number, _ in enumerate(ADDRESSES)]
    lab.cluster.apply([{**kind, "metadata": meta, "data": {"config": config}}, *services])
    wait_until("an address for each service", 60, lambda: _assigned(lab) == set(ADDRESSES))


def _service(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    }


def _assigned(lab: Lab) -> set[str]:
    async def fetch() -> set[str]:
        admin = await ServicesAdmin.of(str(lab.control_plane.kubeconfig("admin")), "default")
        try:
            return {entry.ip for service in await admin.services() for entry in service.ingress}
        finally:
            await admin.close()

    return asyncio.run(fetch())
