"""Measurements of a soak test, and the hostile writers that run during it.

Each writer runs until cancelled, at a rate that one host can produce, and restores nothing: its
writes must do no harm. Writers have the access of a tenant, a node, a peer or an unauthenticated
host: the API server, the daemons' ports, the network segment.
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

from support.kube.hostile import HostileGenerator, encode, hostile_configs, nested
from support.kube.rig import Rig
from support.layer2.client_link import Client, ClientLink
from support.net.namespaces import inside

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
# Seconds after which a request without a reply counts as lost. The machine is busy on purpose.
LOST_AFTER: Final = 5.0


@dataclass
class Answers:
    """The ARP requests of the client, and their replies."""

    asked: int = 0
    """Number of requests."""
    lost: list[str] = field(default_factory=list)
    """The addresses of requests without a reply within ``LOST_AFTER``."""
    longest: float = 0.0
    """The longest time until a reply, in seconds."""


async def request_forever(addresses: Sequence[str], answers: Answers, period: float) -> None:
    """Send ARP requests for the addresses in turn, one in each period, until cancelled."""
    pending: dict[str, float] = {}

    async def receive(client: Client) -> None:
        while True:
            frame = await client.received()
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2":
                asked = pending.pop(str(IPv4Address(frame[28:32])), None)
                if asked is not None:
                    answers.longest = max(answers.longest, time.monotonic() - asked)

    with Client(ClientLink(WIRE, "client")) as client:
        receiving = asyncio.create_task(receive(client))
        try:
            for number in range(10**9):
                address = addresses[number % len(addresses)]
                if address not in pending:
                    pending[address] = time.monotonic()
                    answers.asked += 1
                    client.ask(address, sender=CLIENT)
                await asyncio.sleep(period)
                for overdue, asked in list(pending.items()):
                    if time.monotonic() - asked > LOST_AFTER:
                        answers.lost.append(overdue)
                        del pending[overdue]
        finally:
            receiving.cancel()


@dataclass(frozen=True)
class Footprint:
    """The resources of a daemon's processes, summed up."""

    resident: int
    """Resident memory in KiB."""
    files: int
    """Open file descriptors."""


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
    """The hostile writers, and a count of the operations of each."""

    def __init__(self, rig: Rig, seed: int, valid_config: str, victims: Sequence[str]) -> None:
        self._rig = rig
        self._seed = seed
        self._config = valid_config
        self._victims = victims
        self.done: Counter[str] = Counter()

    def all(self) -> list[Coroutine[None, None, None]]:
        """Return the coroutines of all writers, which run until cancelled."""
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
            self._conflicts(),
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
        """Send a request that the API server may refuse, as it mostly does; count successes."""
        with contextlib.suppress(ApiError):
            await request
            self.done[name] += 1

    async def _services(self) -> None:
        """Write a tenant's Services: annotations, fields, nesting, unavailable addresses."""
        random = self._random("services")
        hostile = HostileGenerator(random)
        path = f"/api/v1/namespaces/{TENANTS}/services"
        async with self._client() as client:
            for number in range(10**9):
                name = f"t{number % 40}"
                spec: Object = {"type": "LoadBalancer", "ports": [{"port": 80}]}
                spec["allocateLoadBalancerNodePorts"] = False
                spec["loadBalancerIP"] = random.choice(("", "10.79.0.1", hostile.text()[:100]))
                valid: Object = {"metadata": {"name": name}, "spec": spec}
                item = hostile.mutated(valid)
                body = valid if _has_markers(item) else item
                await self._try("service created", client.create(path, body))
                await self._try("service changed", client.patch(f"{path}/{name}", body))
                if number % 100 == 0:
                    await self._nest(path, f"deep{number // 100 % 5}", random.choice((990, 5_000)))
                await asyncio.sleep(0.1)

    async def _nest(self, path: str, name: str, depth: int) -> None:
        """Create a Service with nested managed fields, as bytes that no encoder produces."""
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
        """Write foreign addresses into the status as fast as the controller corrects them."""
        path = "/api/v1/namespaces/default/services"
        body = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.77"}]}}}
        async with self._client() as client:
            while True:
                for name in self._victims:
                    await self._try("status", client.patch(f"{path}/{name}/status", body))
                await asyncio.sleep(0.02)

    async def _configurations(self) -> None:
        """Write configurations that no daemon accepts, and the valid one now and then."""
        random = self._random("configurations")
        hostile = HostileGenerator(random)
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
        """Write annotations of the speakers' pods, and create and change Nodes."""
        random = self._random("pods")
        hostile = HostileGenerator(random)
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
        """Write EndpointSlices for the tenant's Services."""
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
        """Send incomplete bodies to the webhook, and open connections without a TLS handshake."""
        random = self._random("webhook")
        hostile = HostileGenerator(random)
        insecure = ssl.create_default_context()
        insecure.check_hostname = False
        insecure.verify_mode = ssl.CERT_NONE
        held: list[asyncio.StreamWriter] = []
        try:
            while True:
                await self._post_half(random.choice((insecure, None)), hostile, random, held)
                if len(held) > 50:
                    await _abort(held.pop(0))
                await asyncio.sleep(0.1)
        finally:
            await _abort(*held)

    async def _post_half(
        self,
        context: ssl.SSLContext | None,
        hostile: HostileGenerator,
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
        """Send incomplete requests to every metrics page."""
        hosts = [CONTROL_PLANE, *(node.address for node in NODES)]
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
        await self._hold("page", [(host, METRICS) for host in hosts], request, 200)

    async def _gossip_streams(self) -> None:
        """Open gossip streams that send nothing, or bytes that are not encrypted with the key."""
        ends = [(node.address, GOSSIP) for node in NODES]
        await self._hold("gossip stream", ends, os.urandom(3_000), 200)

    async def _hold(
        self, name: str, ends: Sequence[tuple[str, int]], first: bytes, most: int
    ) -> None:
        """Open connections, and keep the latest ``most`` of them open."""
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
        """Send datagrams to the gossip port, 200 a second."""
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

    async def _conflicts(self) -> None:
        """Send conflicting ARP for the announced addresses, 128 a second, and forged frames."""
        random = self._random("claims")
        with inside("client"):
            raw_socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            raw_socket.bind(("eth0", 0))
        with raw_socket:
            for number in range(10**9):
                mac = b"\x02\0\0\0\0" + bytes((number % 5,))
                if number % 10 == 0:
                    mac = b"\x02" + random.randbytes(5)
                target = (IPv4Address("10.79.0.0") + number % 400).packed
                arp = bytes.fromhex("0001080006040002") + mac + target + b"\xff" * 6 + target
                with contextlib.suppress(BlockingIOError):
                    raw_socket.send(b"\xff" * 6 + mac + b"\x08\x06" + arp)
                    raw_socket.send(b"\xff" * 6 + mac + b"\x86\xdd" + random.randbytes(80))
                self.done["claim"] += 1
                await asyncio.sleep(1 / 128)

    async def _malformed_updates(self) -> None:
        """Run a configured peer that sends malformed UPDATEs as fast as they are received."""
        marker = b"\xff" * 16
        opening = bytes((4,)) + (64502).to_bytes(2) + (90).to_bytes(2) + b"\x01\x02\x03\x04\0"
        origin = bytes.fromhex("4001017f")  # ORIGIN with an undefined value
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
