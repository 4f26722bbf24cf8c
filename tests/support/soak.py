"""What a soak measures while hostile writers are at work, and the writers.

Each writer runs until cancelled, at a rate that one host can produce, and restores nothing: what it
wrote is to do no harm. Writers use what a tenant, a node, a peer or a stranger has: the API server,
the daemons' ports, the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Final

from support.bgp_wire import inside
from support.cluster import Rig
from support.hostile import Hostile, encode, hostile_configs, nested
from support.layer2_wire import Client, Wire

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError
from metallb_py.errors import ApiError
from metallb_py.kube.client import KubeClient
from metallb_py.lab.apiserver.store import Object
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.network import CLIENT, CONTROL_PLANE, NODES, WIRE

WEBHOOK: Final = 9443
METRICS: Final = 7472
GOSSIP: Final = 7946
HOSTILE_PEER_PORT: Final = 1790
TENANTS: Final = "tenants"
# A request is lost where it has no answer after so many seconds. The machine is busy on purpose.
LOST_AFTER: Final = 5.0


@dataclass
class Answers:
    """ARP requests that the client sent, and those that were never answered."""

    asked: int = 0
    lost: list[str] = field(default_factory=list)
    longest: float = 0.0


async def ask_for_ever(addresses: Sequence[str], answers: Answers, period: float) -> None:
    """Ask for the addresses in turn, one request in each period, until cancelled."""
    waiting: dict[str, float] = {}

    async def receive(client: Client) -> None:
        while True:
            frame = await client.received()
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2":
                asked = waiting.pop(str(IPv4Address(frame[28:32])), None)
                if asked is not None:
                    answers.longest = max(answers.longest, time.monotonic() - asked)

    with Client(Wire(WIRE, "client")) as client:
        receiving = asyncio.create_task(receive(client))
        try:
            for number in range(10**9):
                address = addresses[number % len(addresses)]
                if address not in waiting:
                    waiting[address] = time.monotonic()
                    answers.asked += 1
                    client.ask(address, sender=CLIENT)
                await asyncio.sleep(period)
                for late, asked in list(waiting.items()):
                    if time.monotonic() - asked > LOST_AFTER:
                        answers.lost.append(late)
                        del waiting[late]
        finally:
            receiving.cancel()


@dataclass(frozen=True)
class Footprint:
    """What the processes of one daemon occupy: resident KiB and open files, both summed up."""

    resident: int
    files: int


def footprint(process: int) -> Footprint:
    """Return the footprint of a process and its descendants."""
    processes = _family(process)
    resident = 0
    files = 0
    for each in processes:
        status = Path(f"/proc/{each}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        resident += int(found[1]) if found else 0
        files += sum(1 for _ in Path(f"/proc/{each}/fd").iterdir())
    return Footprint(resident, files)


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(each for child in children for each in _family(int(child)))]


class Writers:
    """The hostile writers, and how often each did what it does."""

    def __init__(self, rig: Rig, seed: int, good_config: str, victims: Sequence[str]) -> None:
        self._rig = rig
        self._seed = seed
        self._config = good_config
        self._victims = victims
        self.done: Counter[str] = Counter()

    def all(self) -> list[Coroutine[None, None, None]]:
        """Return every writer, to be run until cancelled."""
        return [
            self._services(),
            self._status(),
            self._configurations(),
            self._pods_and_nodes(),
            self._endpoints(),
            self._webhook(),
            self._pages(),
            self._gossip_streams(),
            self._gossip_datagrams(),
            self._claims(),
            self._malformed_updates(),
        ]

    def _random(self, name: str) -> Random:
        return Random(f"{self._seed} {name}")

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[KubeClient]:
        client = await KubeClient.connect(str(self._rig.lab.control_plane.kubeconfig("admin")))
        try:
            yield client
        finally:
            await client.close()

    async def _try(self, name: str, request: Coroutine[None, None, bytes]) -> None:
        """Send a request that the API server may refuse, and most often does."""
        with contextlib.suppress(ApiError):
            await request
            self.done[name] += 1

    async def _services(self) -> None:
        """A tenant's Services: annotations, fields, nesting, requests for what cannot be had."""
        random = self._random("services")
        hostile = Hostile(random)
        path = f"/api/v1/namespaces/{TENANTS}/services"
        async with self._client() as client:
            for number in range(10**9):
                name = f"t{number % 40}"
                spec: Object = {"type": "LoadBalancer", "ports": [{"port": 80}]}
                spec["allocateLoadBalancerNodePorts"] = False
                spec["loadBalancerIP"] = random.choice(("", "10.79.0.1", hostile.text()[:100]))
                good: Object = {"metadata": {"name": name}, "spec": spec}
                item = hostile.mutated(good)
                body = good if _has_markers(item) else item
                await self._try("service created", client.create(path, body))
                await self._try("service changed", client.patch(f"{path}/{name}", body))
                if number % 100 == 0:
                    await self._nest(path, f"deep{number // 100 % 5}", random.choice((990, 5_000)))
                await asyncio.sleep(0.1)

    async def _nest(self, path: str, name: str, depth: int) -> None:
        """Create a Service whose managed fields are nested, as bytes that no encoder made."""
        managed = {"manager": "x", "operation": "Update", "apiVersion": "v1"}
        managed |= {"fieldsType": "FieldsV1", "fieldsV1": {"f:a": nested(depth)}}
        meta = {"name": name, "managedFields": [managed]}
        spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
        spec["allocateLoadBalancerNodePorts"] = False
        item = {"kind": "Service", "apiVersion": "v1", "metadata": meta, "spec": spec}
        line = ("create", "--raw", path, "-f", "-")
        data = encode(item).decode()
        await asyncio.to_thread(lambda: self._rig.try_kubectl(*line, data=data))
        self.done["nested service"] += 1

    async def _status(self) -> None:
        """Another controller that writes addresses of its own, as fast as they are corrected."""
        path = "/api/v1/namespaces/default/services"
        body = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.77"}]}}}
        async with self._client() as client:
            while True:
                for name in self._victims:
                    await self._try("status", client.patch(f"{path}/{name}/status", body))
                await asyncio.sleep(0.02)

    async def _configurations(self) -> None:
        """Edits of the ConfigMap that no daemon can use; the good one now and then."""
        random = self._random("configurations")
        hostile = Hostile(random)
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/config"
        async with self._client() as client:
            while True:
                for text in hostile_configs(hostile, random):
                    if not _is_valid(text):
                        chosen = random.choice((text, text, text, self._config))
                        data = {"data": {"config": chosen}}
                        await self._try("config", client.patch(path, data))
                        await asyncio.sleep(2)

    async def _pods_and_nodes(self) -> None:
        """Annotations of the speakers' pods, and Nodes that come and go."""
        random = self._random("pods")
        hostile = Hostile(random)
        pods = [f"/api/v1/namespaces/{NAMESPACE}/pods/speaker-{node.name}" for node in NODES]
        annotation = "metallb.universe.tf/interfaces"
        async with self._client() as client:
            for number in range(10**9):
                text = random.choice((hostile.text(), "[" * 16_000, '{"a":' * 3_000))
                meta = {"metadata": {"annotations": {annotation: text}}}
                await self._try("pod", client.patch(random.choice(pods), meta))
                name = f"ghost{number % 20}"
                ghost = {"metadata": {"name": name, "annotations": {annotation: text}}}
                await self._try("node", client.create("/api/v1/nodes", ghost))
                addresses = [{"type": "InternalIP", "address": hostile.text()[:200]}]
                status = {"status": {"addresses": addresses}}
                await self._try("node", client.patch(f"/api/v1/nodes/{name}/status", status))
                await asyncio.sleep(0.2)

    async def _endpoints(self) -> None:
        """EndpointSlices that claim to belong to Services of the tenant."""
        random = self._random("endpoints")
        path = f"/apis/discovery.k8s.io/v1/namespaces/{TENANTS}/endpointslices"
        async with self._client() as client:
            for number in range(10**9):
                labels = {"kubernetes.io/service-name": f"t{number % 40}"}
                endpoint = {"addresses": ["10.244.1.2"], "nodeName": random.choice(("node1", "x"))}
                item = {
                    "metadata": {"name": f"e{number % 40}", "labels": labels},
                    "addressType": "IPv4",
                    "endpoints": [endpoint] * random.choice((0, 1, 1000)),
                    "ports": [],
                }
                await self._try("slice", client.create(path, item))
                endpoints = {"endpoints": [endpoint]}
                await self._try("slice", client.patch(f"{path}/e{number % 40}", endpoints))
                await asyncio.sleep(0.2)

    async def _webhook(self) -> None:
        """Bodies that end half way, and handshakes that go no further."""
        random = self._random("webhook")
        hostile = Hostile(random)
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        held: list[asyncio.StreamWriter] = []
        try:
            while True:
                await self._post_half(random.choice((trusting, None)), hostile, random, held)
                if len(held) > 50:
                    await _abort(held.pop(0))
                await asyncio.sleep(0.1)
        finally:
            await _abort(*held)

    async def _post_half(
        self,
        context: ssl.SSLContext | None,
        hostile: Hostile,
        random: Random,
        held: list[asyncio.StreamWriter],
    ) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(CONTROL_PLANE, WEBHOOK, ssl=context)
            held.append(writer)
            body = encode({"kind": "AdmissionReview", "request": {"object": hostile.value()}})
            length = random.choice((len(body), 8 << 20))
            head = f"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
            writer.write(head.encode() + body)
            self.done["webhook"] += 1

    async def _pages(self) -> None:
        """Requests that end half way, on every page."""
        hosts = [CONTROL_PLANE, *(node.address for node in NODES)]
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
        await self._hold("page", [(host, METRICS) for host in hosts], request, 200)

    async def _gossip_streams(self) -> None:
        """Connections to the gossip that send nothing, or bytes that no key made."""
        ends = [(node.address, GOSSIP) for node in NODES]
        await self._hold("gossip stream", ends, os.urandom(3_000), 200)

    async def _hold(
        self, name: str, ends: Sequence[tuple[str, int]], first: bytes, most: int
    ) -> None:
        """Open connections and keep them open, the latest so many."""
        random = self._random(name)
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as closing:
            held: list[socket.socket] = []
            while True:
                with inside("client"):
                    connection = closing.enter_context(socket.socket())
                connection.setblocking(False)
                held.append(connection)
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(2):
                        await loop.sock_connect(connection, random.choice(ends))
                        await loop.sock_sendall(connection, random.choice((b"", first)))
                        self.done[name] += 1
                if len(held) > most:
                    held.pop(0).close()
                await asyncio.sleep(0.02)

    async def _gossip_datagrams(self) -> None:
        """Datagrams to the gossip, 200 a second."""
        random = self._random("datagrams")
        with inside("client"):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            while True:
                for node in NODES:
                    kind = bytes((random.randrange(14),))
                    data = kind + random.randbytes(random.randint(0, 1_300))
                    sender.sendto(data, (node.address, GOSSIP))
                    self.done["gossip datagram"] += 1
                await asyncio.sleep(0.015)

    async def _claims(self) -> None:
        """Hosts that claim the announced addresses, 128 times a second, and forged frames."""
        random = self._random("claims")
        with inside("client"):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            wire.bind(("eth0", 0))
        with wire:
            for number in range(10**9):
                mac = b"\x02\0\0\0\0" + bytes((number % 5,))
                if number % 10 == 0:
                    mac = b"\x02" + random.randbytes(5)
                target = (IPv4Address("10.79.0.0") + number % 400).packed
                arp = bytes.fromhex("0001080006040002") + mac + target + b"\xff" * 6 + target
                with contextlib.suppress(BlockingIOError):
                    wire.send(b"\xff" * 6 + mac + b"\x08\x06" + arp)
                    wire.send(b"\xff" * 6 + mac + b"\x86\xdd" + random.randbytes(80))
                self.done["claim"] += 1
                await asyncio.sleep(1 / 128)

    async def _malformed_updates(self) -> None:
        """A peer of the configuration that sends malformed UPDATEs as fast as they are taken."""
        marker = b"\xff" * 16
        opening = bytes((4,)) + (64502).to_bytes(2) + (90).to_bytes(2) + b"\x01\x02\x03\x04\0"
        origin = bytes.fromhex("4001017f")  # ORIGIN of a value that there is not
        update = b"\0\0" + len(origin).to_bytes(2) + origin + bytes((24, 10, 99, 0))

        def message(kind: int, body: bytes = b"") -> bytes:
            return marker + (19 + len(body)).to_bytes(2) + bytes((kind,)) + body

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(message(1, opening) + message(4))
                while True:
                    writer.write(message(2, update) * 20)
                    await writer.drain()
                    self.done["malformed UPDATE"] += 20
                    await asyncio.sleep(0.02)
            except OSError:
                pass  # the speaker closed it
            finally:
                await _abort(writer)

        with inside("client"):
            listening = socket.create_server((CLIENT, HOSTILE_PEER_PORT))
        with listening:
            async with await asyncio.start_server(serve, sock=listening) as server:
                await server.serve_forever()


async def _abort(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def _has_markers(item: object) -> bool:
    return any(kind in json.dumps(item) for kind in ("@nest:", "@wrap:", "@raw:"))


def _is_valid(text: str) -> bool:
    try:
        read_config(text)
    except ConfigError:
        return False
    return True
