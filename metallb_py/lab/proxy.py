"""Replacement for kube-proxy on one node, where there is none: service addresses to pods.

``python -m metallb_py.lab.proxy KUBECONFIG [NFT]``. With the program nft, the kernel translates
the addresses, as with kube-proxy. Without it, connections are relayed: the service addresses
become local ones (for which the kernel is set not to answer ARP) and this process relays the
bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from pyroute2 import AsyncIPRoute

from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import SERVICE_NAME_LABEL, SERVICES, EndpointSlice, Resource, Service
from metallb_py.kube.reflector import Reflector
from metallb_py.lab.network import PODS_CIDR

IP_FREEBIND = 15
LOCAL = 255
CHUNK = 65536


class SlicePort(msgspec.Struct, frozen=True):
    """A port that the endpoints of a slice listen on."""

    port: int


class SliceWithPorts(EndpointSlice, frozen=True):
    """An EndpointSlice with its ports, which the translation needs."""

    ports: tuple[SlicePort, ...] | None = None


@dataclass(frozen=True, slots=True)
class Frontend:
    """A service address and port, and the pods behind it."""

    address: str
    port: int
    backends: tuple[tuple[str, int], ...]


def frontends(services: dict[str, Service], slices: dict[str, SliceWithPorts]) -> list[Frontend]:
    """Return the frontends of all services that have a load balancer's address."""
    return list(_frontends(services, slices))


def _frontends(
    services: dict[str, Service], slices: dict[str, SliceWithPorts]
) -> Iterator[Frontend]:
    for key, service in sorted(services.items()):
        members = [s for s in slices.values() if s.service_key == key]
        for entry, (index, port) in itertools.product(
            service.ingress, enumerate(service.spec.ports or ())
        ):
            backends = tuple(
                (endpoint.addresses[0], (item.ports or ())[index].port)
                for item in members
                for endpoint in item.endpoints or ()
                if endpoint.conditions.ready is not False and index < len(item.ports or ())
            )
            yield Frontend(entry.ip, port.port, backends)


def ruleset(found: list[Frontend]) -> str:
    """Return these translations as a table for nft, which replaces the earlier table."""
    rules = []
    for item in found:
        if not item.backends:
            continue
        choices = ", ".join(f"{n} : {a} . {p}" for n, (a, p) in enumerate(item.backends))
        count = len(item.backends)
        rules.append(
            f"ip daddr {item.address} tcp dport {item.port} "
            f"dnat ip to numgen random mod {count} map {{ {choices} }}"
        )
    body = "\n    ".join(rules)
    return f"""\
table ip metallb-lab
delete table ip metallb-lab
table ip metallb-lab {{
  chain prerouting {{
    type nat hook prerouting priority dstnat
    {body}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat
    ct status dnat ip daddr {PODS_CIDR} ip saddr != {PODS_CIDR} masquerade
  }}
}}
"""


async def use_nft(nft: str, found: list[Frontend]) -> None:
    """Load the translations into the kernel, all at once."""
    process = await asyncio.create_subprocess_exec(nft, "-f", "-", stdin=asyncio.subprocess.PIPE)
    await process.communicate(ruleset(found).encode())


class Relay:
    """Accepts connections for service addresses and passes their bytes on."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._backends: dict[tuple[str, int], Iterator[tuple[str, int]]] = {}
        # The speaker answers ARP for these addresses, and the kernel must not.
        Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("1")

    async def use(self, found: list[Frontend]) -> None:
        """Listen on exactly these frontends."""
        wanted = {(item.address, item.port): item for item in found if item.backends}
        for place in self._servers.keys() - wanted.keys():
            self._servers.pop(place).close()
            await _route("del", place[0])
        for place, item in wanted.items():
            self._backends[place] = itertools.cycle(item.backends)
            if place not in self._servers:
                await _route("replace", place[0])
                self._servers[place] = await self._listen(place)

    async def _listen(self, place: tuple[str, int]) -> asyncio.Server:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        return await asyncio.start_server(partial(self._serve, place), sock=listener)

    async def _serve(
        self, place: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address, port = next(self._backends[place])
        with contextlib.suppress(OSError):
            pod_reader, pod_writer = await asyncio.open_connection(address, port)
            with contextlib.closing(pod_writer):
                await asyncio.gather(_pump(reader, pod_writer), _pump(pod_reader, writer))
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _route(action: str, address: str) -> None:
    """Add or remove a local address, without an interface, which would announce it."""
    async with AsyncIPRoute() as netlink:
        (index,) = await netlink.link_lookup(ifname="lo")
        await netlink.route(
            action, dst=f"{address}/32", oif=index, type="local", scope="host", table=LOCAL
        )


async def follow(client: KubeClient, use: Callable[[list[Frontend]], Awaitable[None]]) -> None:
    """Follow services and endpoints, and call ``use`` with the frontends, until cancelled."""
    changed = asyncio.Event()

    async def wake(_: object) -> None:
        changed.set()

    services = Reflector(client, SERVICES, wake)
    path = "/apis/discovery.k8s.io/v1/endpointslices"
    selector = {"labelSelector": SERVICE_NAME_LABEL}
    slices = Reflector(client, Resource(path, SliceWithPorts, selector), wake)
    async with asyncio.TaskGroup() as group:
        group.create_task(services.run(), name="services")
        group.create_task(slices.run(), name="slices")
        while True:
            await changed.wait()
            changed.clear()
            await use(frontends(services.store, slices.store))


async def main(kubeconfig: str, nft: str = "") -> None:
    """Run until killed."""
    client = await KubeClient.connect(kubeconfig)
    await follow(client, partial(use_nft, nft) if nft else Relay().use)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
