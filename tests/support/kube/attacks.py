"""Both daemons as processes, and attacks on each of their input channels."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from random import Random

import aiohttp
from support.kube.hostile import GOOD_CONFIG, HostileGenerator, encode, hostile_configs, nested
from support.kube.hostile_api import HostileApi
from support.net.namespaces import inside
from support.net.waiting import TIMEOUT

from metallb_py.lab import network
from metallb_py.lab.apiserver.store import Object
from metallb_py.lab.enter import command
from metallb_py.lab.network import CLIENT, CONTROL_PLANE, ROUTER
from metallb_py.lab.processes import Program, Programs
from metallb_py.protocols.memberlist.codec.keyring import derive

NAMESPACE = "metallb-system"
SECRET = "hostile-test"
PAGES = {"controller": 7472, "speaker": 7473}
WEBHOOK = 9443
GOSSIP = 7946
BGP = 179


def service(name: str, **spec: object) -> Object:
    """Return a valid Service."""
    ports = [{"port": 80, "protocol": "TCP"}]
    chosen: Object = {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "ports": ports}  # type: ignore[dict-item]
    chosen |= {"clusterIPs": ["10.96.0.9"], "externalTrafficPolicy": "Cluster", **spec}  # type: ignore[dict-item]
    meta: Object = {"namespace": "default", "name": name, "annotations": {}, "labels": {"a": "b"}}
    return {"kind": "Service", "metadata": meta, "spec": chosen, "status": {"loadBalancer": {}}}


def endpoint_slice(name: str) -> Object:
    """Return the EndpointSlice of a Service, with a ready endpoint."""
    labels: Object = {"kubernetes.io/service-name": name}
    meta: Object = {"namespace": "default", "name": f"{name}-1", "labels": labels}
    endpoint: Object = {"addresses": ["10.244.1.2"], "conditions": {"ready": True}}
    endpoint["nodeName"] = "node1"
    return {
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": [endpoint],
    }


def node(name: str, address: str) -> Object:
    """Return a ready Node."""
    labels: Object = {"kubernetes.io/hostname": name}
    status: Object = {"addresses": [{"type": "InternalIP", "address": address}]}
    status["conditions"] = [{"type": "Ready", "status": "True"}]
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": status,
    }


def endpoints(name: str) -> Object:
    """Return the Endpoints of a Service, with a ready address."""
    address: Object = {"ip": "10.244.1.2", "nodeName": "node1"}
    meta: Object = {"namespace": "default", "name": name}
    return {"kind": "Endpoints", "metadata": meta, "subsets": [{"addresses": [address]}]}


def lease(name: str) -> Object:
    """Return a Lease that a speaker renews."""
    labels: Object = {"app": "metallb", "component": "speaker"}
    spec: Object = {"holderIdentity": "x", "leaseDurationSeconds": 4, "leaseTransitions": 1}
    spec["renewTime"] = spec["acquireTime"] = "2026-11-28T00:00:00.000000Z"
    meta: Object = {"namespace": NAMESPACE, "name": name, "labels": labels}
    return {"kind": "Lease", "metadata": meta, "spec": spec}


def secret(name: str) -> Object:
    """Return the Secret of a BGP peer's password."""
    meta: Object = {"namespace": NAMESPACE, "name": name}
    return {"kind": "Secret", "metadata": meta, "data": {"password": "c2VjcmV0", "a": "Yg=="}}


def speaker_pod(name: str, address: str, on: str) -> Object:
    """Return the Pod of a speaker, ready."""
    labels: Object = {"app": "metallb", "component": "speaker"}
    meta: Object = {"namespace": NAMESPACE, "name": name, "labels": labels, "annotations": {}}
    status: Object = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    status["conditions"] = [{"type": "Ready", "status": "True"}]
    return {"kind": "Pod", "metadata": meta, "spec": {"nodeName": on}, "status": status}


def namespace(name: str) -> Object:
    """Return a Namespace."""
    return {"kind": "Namespace", "metadata": {"name": name, "labels": {"team": "x"}}}


class Cluster:
    """The API server, and both daemons on this host, which is the node ``node1``."""

    def __init__(self, api: HostileApi, programs: Programs) -> None:
        self.api = api
        self._programs = programs
        self.daemons: dict[str, Program] = {}
        self._canaries = 0

    async def start(self) -> None:
        """Create a valid cluster, and start the daemons on it."""
        await self.api.start()
        await self.api.set_config(GOOD_CONFIG)
        for item in (
            namespace("default"),
            node("node1", CONTROL_PLANE),
            speaker_pod("speaker-1", CONTROL_PLANE, "node1"),
        ):
            await self.api.put(item)
        for daemon in PAGES:
            self.start_daemon(daemon)
        await self.canary("at the start")

    def restart(self, daemon: str, *options: str) -> None:
        """Kill a daemon, and start it again with additional options."""
        self.daemons[daemon].kill()
        self.start_daemon(daemon, *options)

    def start_daemon(self, daemon: str, *options: str) -> None:
        """Start a daemon by its name."""
        more = {
            "controller": [f"--webhook-port={WEBHOOK}", f"--webhook-hosts={CONTROL_PLANE}"],
            "speaker": [
                "--node-name=node1",
                f"--ml-bindaddr={CONTROL_PLANE}",
                "--ml-labels=app=metallb,component=speaker",
                f"--ml-secret-key={SECRET}",
                f"--bgp-listen={CONTROL_PLANE}:{BGP}",
            ],
        }[daemon]
        common = [f"--kubeconfig={self.api.kubeconfig}", f"--namespace={NAMESPACE}"]
        page = [f"--port={PAGES[daemon]}", f"--host={CONTROL_PLANE}"]
        line = [sys.executable, "-m", daemon, *common, *page, *more, *options]
        self.daemons[daemon] = self._programs.start(daemon, *line)

    @property
    def next_canary(self) -> str:
        """The name of the next canary service."""
        return f"canary-{self._canaries + 1}"

    async def canary(self, when: str) -> None:
        """Check that both daemons run, and that a valid service is allocated and announced."""
        name = self.next_canary
        self._canaries += 1
        await self.api.put(endpoint_slice(name))
        await self.api.put(service(name))
        try:
            async with asyncio.timeout(TIMEOUT):
                while not self.api.ips(name):
                    self.check(when)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await self.api.store.wait(self.api.store.version)
                (address,) = self.api.ips(name)
                while not await self._is_announced(address):
                    self.check(when)
        except TimeoutError:
            raise AssertionError(f"{when}: {name} is not served{self.tails()}") from None
        await self.api.remove(service(name))
        await self.api.remove(endpoint_slice(name))
        self.check(when)

    def check(self, when: str) -> None:
        """Check that both daemons run."""
        for daemon in self.daemons.values():
            assert daemon.process.poll() is None, f"{when}: {daemon.name} ended{self.tails()}"

    def tails(self) -> str:
        """Return the last lines of both logs."""
        return "\n" + "\n".join(daemon.tail() for daemon in self.daemons.values())

    async def _is_announced(self, address: str) -> bool:
        process = await asyncio.create_subprocess_exec(
            *command("client", "arping", "-b", "-I", "eth0", "-c", "1", "-w", "1", address),
            stdout=asyncio.subprocess.DEVNULL,
        )
        return await process.wait() == 0


# An attack takes the cluster, a Random and a number of rounds, and returns when it is done.
Attack = Callable[[Cluster, Random, int], Awaitable[None]]


async def objects(cluster: Cluster, random: Random, rounds: int) -> None:
    """Send objects of every watched kind with replaced values."""
    hostile = HostileGenerator(random)
    valid_items = [
        service("tenant"),
        service("tenant-2", externalTrafficPolicy="Local", ipFamilyPolicy="PreferDualStack"),
        endpoint_slice("tenant"),
        node("node2", CLIENT),
        speaker_pod("speaker-2", CLIENT, "node2"),
        namespace("tenants"),
    ]
    for _ in range(rounds):
        valid = random.choice(valid_items)
        await cluster.api.put(hostile.mutated(valid))
        if random.random() < 0.2:
            await cluster.api.remove(valid)
        await asyncio.sleep(0)
    for valid in valid_items:
        await cluster.api.put(valid)  # decodable again


async def nesting(cluster: Cluster, _: Random, __: int) -> None:
    """Nest objects around the depth limits of decoders, then restart the daemons on them."""
    for depth in (900, 980, 1_000, 1_485, 5_000, 9_985):
        for valid in (service("deep"), node("node2", CLIENT), endpoint_slice("deep")):
            meta = valid["metadata"]
            assert isinstance(meta, dict)
            meta["managedFields"] = [{"fieldsV1": nested(depth)}]
            await cluster.api.put(valid)
    for daemon in list(cluster.daemons):
        cluster.restart(daemon)
    await cluster.canary("restarted on deep objects")


async def configurations(cluster: Cluster, random: Random, _: int) -> None:
    """Write hostile texts into the ConfigMap."""
    for text in hostile_configs(HostileGenerator(random), random):
        await cluster.api.change_config(text)
        await asyncio.sleep(0.02)
    await cluster.api.change_config(GOOD_CONFIG)


async def annotations_of_the_configmap(cluster: Cluster, random: Random, rounds: int) -> None:
    """Mutate the annotations and other fields of the ConfigMap."""
    hostile = HostileGenerator(random)
    kind: Object = {"kind": "ConfigMap"}
    meta: Object = {"namespace": NAMESPACE, "name": "config", "annotations": {}}
    valid: Object = kind | {"metadata": meta, "data": {"config": GOOD_CONFIG}}
    for _ in range(rounds):
        await cluster.api.put(hostile.mutated(valid))
        await asyncio.sleep(0)
    await cluster.api.put(valid)


async def leases(cluster: Cluster, random: Random, rounds: int) -> None:
    """Mutate Leases, with membership by Lease, and Endpoints, in place of EndpointSlices."""
    cluster.restart("controller", "--leader-elect")
    cluster.restart("speaker", "--membership=lease", "--disable-epslices")
    await cluster.api.put(node("node2", CLIENT))
    hostile = HostileGenerator(random)
    valid_items = [lease("speaker-node2"), lease("other"), endpoints("tenant")]
    for _ in range(rounds):
        await cluster.api.put(hostile.mutated(random.choice(valid_items)))
        await asyncio.sleep(0)
    await cluster.api.put(endpoints(cluster.next_canary))
    await cluster.canary("with Leases")
    await cluster.api.remove(node("node2", CLIENT))
    for daemon in cluster.daemons:
        cluster.restart(daemon)


async def secrets(cluster: Cluster, random: Random, rounds: int) -> None:
    """Mutate Secrets with the passwords of BGP peers."""
    hostile = HostileGenerator(random)
    name = "bgp-passwords"
    for number in range(max(1, rounds // 10)):
        await cluster.api.put(hostile.mutated(secret(name)))
        # A changed peer makes the speaker read the Secret at once.
        reference = f"password-secret: {{name: {name}, key: {random.choice(('password', 'a'))}}}"
        peer = f"peer-address: 172.30.0.1, peer-port: {1000 + number}, {reference}"
        text = GOOD_CONFIG.replace("peer-address: 172.30.0.1", peer)
        await cluster.api.change_config(text)
        await cluster.canary(f"Secret {number}")
    await cluster.api.change_config(GOOD_CONFIG)


async def webhook(cluster: Cluster, random: Random, rounds: int) -> None:
    """Send hostile bodies to the webhook, and open connections without a TLS handshake."""
    hostile = HostileGenerator(random)
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    connections = aiohttp.TCPConnector(ssl=insecure)
    url = f"https://{CONTROL_PLANE}:{WEBHOOK}/"
    async with (
        _silent(CONTROL_PLANE, WEBHOOK, 30),
        aiohttp.ClientSession(connector=connections) as web,
    ):
        for path in [random.choice(("validate", "", "metrics", "v")) for _ in range(rounds)]:
            text = random.choice(hostile_configs(hostile, random))
            item = {
                "metadata": {"name": "config", "namespace": NAMESPACE},
                "data": {"config": text},
            }
            request: Object = {"uid": hostile.text(), "operation": "UPDATE", "object": item}  # type: ignore[dict-item]
            body = encode({**review, "request": hostile.mutated({"metadata": {}} | request)})
            data = random.choice((body, body[: len(body) // 2], os.urandom(500)))
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(10), web.post(url + path, data=data) as answer:
                    await answer.read()


async def pages(cluster: Cluster, random: Random, rounds: int) -> None:
    """Send invalid, incomplete and missing requests to the metrics pages."""
    hostile = HostileGenerator(random)
    for port in PAGES.values():
        async with _silent(CONTROL_PLANE, port, 100, b"GET /metrics HTTP/1.1\r\nHost: "):
            for _ in range(rounds):
                text = hostile.text().encode(errors="replace")
                request = random.choice(
                    (b"GET /%s HTTP/1.1\r\n\r\n", b"%s", b"GET / HTTP/1.1\r\n%s: %s\r\n\r\n")
                ).replace(b"%s", text)
                await _send(CONTROL_PLANE, port, request)


async def gossip(cluster: Cluster, random: Random, rounds: int) -> None:
    """Send datagrams and streams without the key, and bad metadata from a member with the key."""
    await cluster.api.put(node("node2", CLIENT))
    key = derive(SECRET.encode(), 16).hex()
    member = Path(__file__).parents[1] / "gossip/member_program.py"
    line = ["-name=node2", f"-bind={CLIENT}", f"-key={key}", f"-join={CONTROL_PLANE}:{GOSSIP}"]
    process = await asyncio.create_subprocess_exec(
        *command("client", sys.executable, str(member), *line),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    hostile = HostileGenerator(random)
    with inside("client"):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    async with _silent(CONTROL_PLANE, GOSSIP, 80):
        for _ in range(rounds):
            magic = random.choice((b"metallb-py/1:", b""))
            meta = magic + random.choice(
                (os.urandom(200), hostile.text().encode(errors="replace"), b"\x91" * 400)
            )
            process.stdin.write(f"meta {meta[:512].hex()}\n".encode())
            sender.sendto(os.urandom(random.randint(0, 1400)), (CONTROL_PLANE, GOSSIP))
            sender.sendto(bytes((random.randrange(14),)) + b"\x81" * 900, (CONTROL_PLANE, GOSSIP))
            await _send(CONTROL_PLANE, GOSSIP, os.urandom(random.randint(0, 5_000)))
    sender.close()
    process.stdin.write(b"quit\n")
    process.stdin.close()
    await process.wait()
    await cluster.api.remove(node("node2", CLIENT))


async def frames(cluster: Cluster, random: Random, rounds: int) -> None:
    """Send conflicting ARP frames for every address, and random frames."""
    with inside("client"):
        raw_socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw_socket.bind(("eth0", 0))
    with raw_socket:
        for number in range(rounds * 20):
            mac = b"\x02" + random.randbytes(5)
            target = IPv4Address("172.30.0.200") + number % 20
            arp = bytes.fromhex("000108000604") + random.choice((b"\0\1", b"\0\2"))
            arp += mac + target.packed + random.randbytes(6) + target.packed
            kind = random.choice((b"\x08\x06", b"\x86\xdd", b"\x81\x00"))
            body = random.choice((arp, random.randbytes(random.randint(0, 200))))
            raw_socket.send(b"\xff" * 6 + mac + kind + body)
            if number % 50 == 0:
                await asyncio.sleep(0.01)


async def bgp(cluster: Cluster, random: Random, rounds: int) -> None:
    """Answer the speaker's connections with garbage, and connect from unknown sources."""
    marker = b"\xff" * 16

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            body = random.randbytes(random.randint(0, 300))
            header = marker + (19 + len(body)).to_bytes(2) + bytes((random.randint(0, 6),))
            writer.write(random.choice((header + body, os.urandom(400), header)))
            await writer.drain()
            writer.close()

    with inside("router"):
        listening = socket.create_server((ROUTER, BGP))
    server = await asyncio.start_server(answer, sock=listening)
    async with server, _silent(CONTROL_PLANE, BGP, 50):
        for _ in range(rounds):
            await _send(CONTROL_PLANE, BGP, marker + random.randbytes(30), "router")
            await _send(CONTROL_PLANE, BGP, os.urandom(60))


@contextlib.asynccontextmanager
async def _silent(host: str, port: int, count: int, first: bytes = b"") -> AsyncIterator[None]:
    """Hold connections on which only the beginning of a request is sent, or nothing."""
    held = []
    for _ in range(count):
        with _connection(host, port) as connection:
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.send(first)
                held.append(connection.dup())
    try:
        yield
    finally:
        for connection in held:
            connection.close()


async def _send(host: str, port: int, data: bytes, machine: str = "client") -> None:
    """Connect, send, and close without waiting for a response."""
    with _connection(host, port, machine) as connection:
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.send(data)
    await asyncio.sleep(0)


@contextlib.contextmanager
def _connection(host: str, port: int, machine: str = "client") -> Iterator[socket.socket | None]:
    """Connect from a machine; yield None if that is refused or takes more than a second."""
    with inside(machine):
        connection = socket.socket()
    with connection:
        connection.settimeout(1)
        try:
            connection.connect((host, port))
        except OSError:
            yield None
        else:
            connection.setblocking(False)
            yield connection


ATTACKS: dict[str, Attack] = {
    "objects": objects,
    "nesting": nesting,
    "configurations": configurations,
    "annotations of the ConfigMap": annotations_of_the_configmap,
    "leases": leases,
    "secrets": secrets,
    "webhook": webhook,
    "pages": pages,
    "gossip": gossip,
    "frames": frames,
    "bgp": bgp,
}


def run_attacks(folder: Path, seed: int, rounds: int, names: list[str]) -> None:
    """Run attacks one after the other on one cluster, with a canary after each.

    Needs a network namespace of its own (``isolated``).
    """
    network.build()
    with Programs(folder) as programs:
        asyncio.run(_run_attacks(Cluster(HostileApi(folder), programs), seed, rounds, names))


async def _run_attacks(cluster: Cluster, seed: int, rounds: int, names: list[str]) -> None:
    try:
        await cluster.start()
        for name in names:
            await ATTACKS[name](cluster, Random(f"{seed} {name}"), rounds)
            await cluster.canary(name)
        for daemon in cluster.daemons.values():
            for line in daemon.log.read_text().split("\n")[:-1]:
                entry = _parsed(line)
                assert entry is not None, f"{daemon.name}: not a line of its log: {line[:300]}"
                assert entry.get("op") != "shutdown", entry
    finally:
        await cluster.api.stop()


def _parsed(line: str) -> Object | None:
    """Return the fields of a log line; None if it is not printable JSON of an object."""
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict) and line.isprintable():
            return entry
    return None
