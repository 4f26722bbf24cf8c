"""Veth pairs for layer 2 tests: a node and a client, each in a network namespace.

The test enters the node's namespace, so that drivers under test run in the test process. The client
encodes and decodes with scapy, so that its results do not depend on our codecs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from scapy.layers.l2 import ARP, Dot1Q, Ether
from support.net.namespaces import add_address, connect, execute, inside, ip, namespaces, run
from support.net.waiting import TIMEOUT, Recorder

from speaker.linux.worker_process import WorkerEvent
from speaker.responder.events import ResponderEvent
from speaker.responder.io.client import Responder
from speaker.responder.settings import Settings

BROADCAST = "ff:ff:ff:ff:ff:ff"
CLIENT_IP = "192.0.2.2"
VIP = "192.0.2.100"
# Announced in every test of the absence of a reply: replies keep the order of their requests, so
# the replies before that for the fence are complete.
FENCE = "192.0.2.250"
ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
ETH_P_ALL = 0x0003
SO_RCVBUFFORCE = 33  # asm-generic/socket.h

Event = ResponderEvent | WorkerEvent

_senders = (f"198.18.{n >> 8}.{n & 255}" for n in itertools.count(1))


@dataclass(frozen=True)
class ClientLink:
    """The names of the two network namespaces."""

    node: str
    client: str

    def connect(self, name: str = "eth0") -> None:
        """Create a veth pair with this name on both ends, and set both up."""
        connect(self.node, self.client, name, name)
        for namespace in (self.client, self.node):
            ip("-n", namespace, "link", "set", name, "up")

    def on_node(self, *arguments: str) -> str:
        """Run ``ip`` in the node's namespace."""
        return ip("-n", self.node, *arguments)

    def on_client(self, *arguments: str) -> str:
        """Run ``ip`` in the client's namespace."""
        return ip("-n", self.client, *arguments)

    def set_on_client(self, setting: str, value: int) -> bool:
        """Change a sysctl of the client; return whether its kernel has it."""
        try:
            execute(self.client, "sysctl", "-qw", f"{setting}={value}")
        except subprocess.CalledProcessError:
            return False
        return True

    def batch(self, commands: str) -> None:
        """Run a batch of ``ip`` commands, one a line, in the node's namespace."""
        subprocess.run(
            ("ip", "-n", self.node, "-batch", "-"), input=commands, check=True, text=True
        )

    def full_queue(self, name: str) -> None:
        """Set the transmit queue limit to 0, so that the kernel refuses every frame."""
        run("tc", "-n", self.node, "qdisc", "add", "dev", name, "root", "pfifo", "limit", "0")

    def node_mac(self, name: str = "eth0") -> str:
        """Return the MAC address of one of the node's interfaces."""
        words = self.on_node("-o", "link", "show", "dev", name).split()
        return words[words.index("link/ether") + 1]


@contextlib.contextmanager
def client_link(*, connected: bool = True, ipv6: bool = False) -> Iterator[ClientLink]:
    """Create both namespaces, and run a block in the node's.

    With ``connected`` they get a veth pair. Without ``ipv6`` the kernels send no frames of their
    own, so that tests can count frames.
    """
    disable = f"disable_ipv6={0 if ipv6 else 1}"
    with namespaces("node", "client", default=disable) as (node, client):
        link = ClientLink(node, client)
        if connected:
            link.connect()
            add_address(client, f"{CLIENT_IP}/24")
        with inside(node):
            yield link


def client_link_fixture(*more: str, ipv6: bool = False) -> object:
    """Return a fixture with ``eth0`` and the links ``more``; the test runs in the node's namespace.

    A test module assigns it to the fixture's name, ``cables``.
    """

    @pytest.fixture
    def cables() -> Iterator[ClientLink]:
        with client_link(ipv6=ipv6) as made:
            for name in more:
                made.connect(name)
            yield made

    return cables


class Client:
    """A packet socket at the client's end: sends requests, and receives every ARP frame."""

    def __init__(
        self, link: ClientLink, interface: str = "eth0", protocol: int = ETH_P_ARP
    ) -> None:
        with inside(link.client):
            self.socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(protocol)
            )
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)  # drop no frame
            self.socket.bind((interface, protocol))
        self.mac = self.socket.getsockname()[4].hex(":")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, frame: Ether) -> None:
        """Send a frame."""
        self.socket.send(bytes(frame).ljust(60, b"\0"))

    def ask(
        self,
        target: str = VIP,
        destination: str = BROADCAST,
        sender: str = CLIENT_IP,
        vlan: int | None = None,
    ) -> None:
        """Send an ARP request."""
        tag = () if vlan is None else (Dot1Q(vlan=vlan),)
        frame = Ether(dst=destination, src=self.mac)
        for layer in (*tag, ARP(op=1, hwsrc=self.mac, psrc=sender, pdst=target)):
            frame /= layer
        self.send(frame)

    async def received(self) -> bytes:
        """Receive the next frame; return its bytes."""
        return await asyncio.get_running_loop().sock_recv(self.socket, 2048)

    async def frame(self, within: float = TIMEOUT) -> Ether:
        """Receive the next frame; return it decoded."""
        async with asyncio.timeout(within):
            return Ether(await self.received())

    def is_drained(self) -> bool:
        """Whether no received frame is queued."""
        return not select.select([self.socket], [], [], 0.0)[0]

    async def discard_frames(self) -> None:
        """Receive and discard frames until an error is raised."""
        while True:
            await self.frame()

    async def reply(self, within: float = TIMEOUT) -> Ether:
        """Return the next ARP reply to the client's MAC address; gratuitous ARP is skipped."""
        async with asyncio.timeout(within):
            while True:
                frame = await self.frame()
                if frame.dst == self.mac and ARP in frame and frame[ARP].op == 2:
                    return frame

    async def replies(
        self, target: str = VIP, destination: str = BROADCAST, fence: str = FENCE
    ) -> list[Ether]:
        """Send a request; return every reply. The fence has to be announced."""
        sender = next(_senders)  # so that late replies to earlier requests do not count
        self.ask(target, destination, sender)
        self.ask(fence, sender=sender)
        replies: list[Ether] = []
        while (reply := await self.reply())[ARP].psrc != fence or reply[ARP].pdst != sender:
            if reply[ARP].pdst == sender:
                replies.append(reply)
        return replies

    async def answered(self, target: str = VIP, within: float = TIMEOUT) -> Ether:
        """Repeat a request until there is a reply; return it."""
        async with asyncio.timeout(within):
            while True:
                self.ask(target)
                with contextlib.suppress(TimeoutError):
                    while (reply := await self.reply(0.05))[ARP].psrc != target:
                        pass
                    return reply

    async def silent(self, target: str = VIP, within: float = TIMEOUT) -> None:
        """Repeat a request until there is no reply any more."""
        async with asyncio.timeout(within):
            while await self.replies(target):
                pass


class Node(Recorder[Event]):
    """A responder under test, and its events."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.responder = Responder(settings)

    def announce(self, *addresses: str) -> None:
        """Announce these addresses."""
        for address in addresses:
            self.responder.announce(ip_address(address))

    def withdraw(self, *addresses: str) -> None:
        """Withdraw these addresses."""
        for address in addresses:
            self.responder.withdraw(ip_address(address))

    def process(self) -> int:
        """Return the process ID of the responder process."""
        (child,) = responder_processes(os.getpid())
        return child

    def kill(self) -> None:
        """Kill the responder process (SIGKILL)."""
        os.kill(self.process(), signal.SIGKILL)


@contextlib.asynccontextmanager
async def running_node(*addresses: str, settings: Settings | None = None) -> AsyncIterator[Node]:
    """Run a responder that announces these addresses for the length of a block."""
    node = Node(settings)
    node.announce(*addresses)
    task = asyncio.create_task(node.responder.run(node.record))
    try:
        yield node
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def responder_processes(parent: int) -> list[int]:
    """Return the process IDs of a process's responder processes."""
    return [
        int(line.split()[0])
        for line in run("ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)).splitlines()
        if "speaker.responder.io.process" in line
    ]


async def gone(process: int, within: float = TIMEOUT) -> None:
    """Wait for the end of a process, which need not be a child of this one."""
    descriptor = os.pidfd_open(process)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(within):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
