"""Real MetalLB 0.12 speakers beside ours in the lab, and who answers for the services' addresses.

MetalLB is no part of this project: whoever has its speaker's program names it in the environment.
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
from support.bgp_wire import inside
from support.isolated import set_port
from support.layer2_wire import BROADCAST, ETH_P_ARP, SO_RCVBUFFORCE
from support.services import ServicesAdmin

from metallb_py.lab.cluster import Object
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.lab import KEY_NAME, METRICS_PORT, Lab
from metallb_py.lab.network import CLIENT, NODES, Node, mac_of
from metallb_py.lab.processes import Program, wait_until
from speaker.layer2.candidates import SPEAKER_LABELS

POOL = "172.30.0.51-172.30.0.250"
ADDRESSES = tuple(f"172.30.0.{number}" for number in range(51, 251))
_FIRST_WORDS = "MetalLB speaker starting"
_AT_ONCE = 40  # no node's socket has to hold more questions than these

# Ours knows more than MetalLB of where an address belongs; beside MetalLB's, it is not to use it.
_LIKE_METALLB = ("--membership=memberlist", "--l2-any-interface", "--ignore-exclude-lb")

Owners = Mapping[str, frozenset[str]]
"""The names of the nodes that answer for each address."""


class Kind(StrEnum):
    """Whose speaker it is."""

    METALLB = "metallb"
    OURS = "ours"


def elected(address: str, members: Iterable[str]) -> str:
    """Return whom MetalLB elects: the first by the SHA-256 of ``<node>#<address>``."""
    return min(members, key=lambda name: sha256(f"{name}#{address}".encode()).digest())


class Census:
    """Asks on the client's wire who has which address, by ARP."""

    def __init__(self) -> None:
        with inside("client"):
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ARP)
            )
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            self._socket.bind(("eth0", ETH_P_ARP))
        self._mac: bytes = self._socket.getsockname()[4]
        self._nodes = {mac_of(node.name): node.name for node in NODES}
        self._question = cache(self._make_question)

    def close(self) -> None:
        self._socket.close()

    def answers(self, addresses: Iterable[str], seconds: float = 0.3) -> Owners:
        """Ask for each address, and return who answers within this time after the last question."""
        found: dict[str, set[str]] = {address: set() for address in addresses}
        list(self._heard(0))
        for number, address in enumerate(found, 1):
            self._socket.send(self._question(address))
            if number % _AT_ONCE == 0:
                self._note(found, 0.02)
        self._note(found, seconds)
        return {address: frozenset(names) for address, names in found.items()}

    def first_answer(self, address: str, *, not_of: str, within: float) -> tuple[float, str]:
        """Ask every 10 ms; return when and which other node answered.

        Raises TimeoutError.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self._socket.send(self._question(address))
            for asked, name in self._heard(0.01):
                if asked == address and name != not_of:
                    return time.monotonic(), name
        raise TimeoutError(f"{address}: no other answer within {within:g} s")

    def _note(self, found: dict[str, set[str]], seconds: float) -> None:
        for address, name in self._heard(seconds):
            if address in found:
                found[address].add(name)

    def _heard(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Return the address and the node of each answer to us in this time."""
        deadline = time.monotonic() + seconds
        while select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            frame = self._socket.recv(2048)
            if frame.startswith(self._mac):  # gratuitous ones go to everybody
                answer = Ether(frame)[ARP]
                yield answer.psrc, self._nodes.get(answer.hwsrc, answer.hwsrc)

    def _make_question(self, address: str) -> bytes:
        mac = self._mac.hex(":")
        frame = Ether(dst=BROADCAST, src=mac) / ARP(op=1, hwsrc=mac, psrc=CLIENT, pdst=address)
        return bytes(frame).ljust(60, b"\0")


@dataclass
class Speakers:
    """The speakers of the nodes, of either kind."""

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
        """End a speaker with no chance to say good-bye."""
        self.alive.discard(node.name)
        self._running[node.name].kill()

    def end(self, node: Node) -> None:
        """Ask a speaker to end, and wait until it has."""
        self.alive.discard(node.name)
        self._running[node.name].end()

    def cut(self, node: Node) -> None:
        """Pull a node's cable."""
        self.alive.discard(node.name)
        set_port(node.name, "down")

    def mend(self, node: Node) -> None:
        """Plug a node's cable in again."""
        set_port(node.name, "up")
        self.alive.add(node.name)

    def living(self, kind: Kind) -> list[Node]:
        """Return the nodes whose speaker is of this kind, and alive."""
        return [n for n in NODES if self.kinds[n.name] is kind and n.name in self.alive]

    def owners(self) -> Owners:
        """Return whom MetalLB would have answer for each address."""
        return {address: frozenset({elected(address, self.alive)}) for address in ADDRESSES}

    def announced(self, node: Node) -> set[str]:
        """Return the addresses that a node's MetalLB announces, by its own log."""
        found: dict[str, list[str]] = {}
        for event in self.log(node):
            match event.get("event"):
                case "serviceAnnounced":
                    found[str(event["service"])] = [str(ip) for ip in event["ips"]]
                case "serviceWithdrawn":
                    found.pop(str(event["service"]), None)
        return {address for addresses in found.values() for address in addresses}

    def log(self, node: Node) -> list[dict[str, Any]]:
        """Return what a node's MetalLB logged since its last start."""
        text = self._running[node.name].log.read_text()
        _, _, last = text.rpartition(_FIRST_WORDS)
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
    """Make a layer 2 pool and as many services as it has addresses; wait until each has one."""
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
    async def ask() -> set[str]:
        admin = await ServicesAdmin.of(str(lab.control_plane.kubeconfig("admin")), "default")
        try:
            return {entry.ip for service in await admin.services() for entry in service.ingress}
        finally:
            await admin.close()

    return asyncio.run(ask())
