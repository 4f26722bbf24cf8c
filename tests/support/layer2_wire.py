"""A wire for layer 2 tests: a node and a client, each in a network namespace, and cables.

The test itself enters the node's namespace, so that drivers under test run in its own process.
The client speaks through scapy, so nothing that it believes comes from our own codecs.
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
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

from scapy.layers.l2 import ARP, Dot1Q, Ether
from support.bgp_wire import inside, require
from support.patience import PATIENCE

from speaker.responder.events import ResponderEvent
from speaker.responder.io.client import Responder
from speaker.responder.settings import Settings

BROADCAST = "ff:ff:ff:ff:ff:ff"
CLIENT_IP = "192.0.2.2"
VIP = "192.0.2.100"
# Announced in every test that needs to know that something was *not* answered: replies keep the
# order of their requests, so whatever came before the fence's reply is all there is.
FENCE = "192.0.2.250"
ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
ETH_P_ALL = 0x0003
SO_RCVBUFFORCE = 33  # asm-generic/socket.h

E = TypeVar("E", bound=ResponderEvent)

_numbers = itertools.count()
_senders = (f"198.18.{n >> 8}.{n & 255}" for n in itertools.count(1))


@dataclass(frozen=True)
class Wire:
    """The names of the two namespaces."""

    node: str
    client: str

    def connect(self, name: str = "eth0") -> None:
        """Put a cable between two interfaces of this name, and switch both on."""
        ip("-n", self.node, "link", "add", name, "type", "veth", "peer", name,
           "netns", self.client)  # fmt: skip
        for namespace in (self.client, self.node):
            ip("-n", namespace, "link", "set", name, "up")

    def on_node(self, *arguments: str) -> str:
        """Run ``ip`` in the node's namespace."""
        return ip("-n", self.node, *arguments)

    def on_client(self, *arguments: str) -> str:
        """Run ``ip`` in the client's namespace."""
        return ip("-n", self.client, *arguments)

    def set_on_client(self, setting: str, value: int) -> bool:
        """Change a setting of the client's kernel; return whether it has that."""
        command = ("ip", "netns", "exec", self.client, "sysctl", "-qw", f"{setting}={value}")
        return subprocess.run(command, check=False).returncode == 0

    def batch(self, commands: str) -> None:
        """Run many ``ip`` commands, one on each line, in the node's namespace."""
        subprocess.run(
            ("ip", "-n", self.node, "-batch", "-"), input=commands, check=True, text=True
        )

    def full_queue(self, name: str) -> None:
        """Leave no room for frames: the kernel refuses each one that is sent."""
        _run("tc", "-n", self.node, "qdisc", "add", "dev", name, "root", "pfifo", "limit", "0")

    def node_mac(self, name: str = "eth0") -> str:
        """Return the MAC address of one of the node's interfaces."""
        words = self.on_node("-o", "link", "show", "dev", name).split()
        return words[words.index("link/ether") + 1]


@contextlib.contextmanager
def wire(*, connected: bool = True, ipv6: bool = False) -> Iterator[Wire]:
    """Build it, go into the node's namespace, and take it all down whatever happens.

    Without IPv6 the kernels keep quiet, so that tests can count frames.
    """
    require(os.geteuid() == 0, "root, to make network namespaces")
    mark = f"ml2-{os.getpid()}-{next(_numbers)}"
    cables = Wire(f"{mark}n", f"{mark}c")
    with contextlib.ExitStack() as cleanup:
        for name in (cables.node, cables.client):
            ip("netns", "add", name)
            cleanup.callback(ip, "netns", "del", name)
            setting = f"net.ipv6.conf.default.disable_ipv6={0 if ipv6 else 1}"
            ip("netns", "exec", name, "sysctl", "-qw", setting)
            ip("-n", name, "link", "set", "lo", "up")
        if connected:
            cables.connect()
            cables.on_client("address", "add", f"{CLIENT_IP}/24", "dev", "eth0")
        cleanup.enter_context(inside(cables.node))
        yield cables


class Client:
    """The client's end of a cable: asks, and hears every ARP frame."""

    def __init__(self, wire: Wire, interface: str = "eth0", protocol: int = ETH_P_ARP) -> None:
        with inside(wire.client):
            self.socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(protocol)
            )
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)  # lose nothing
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
        """Return the bytes of the next frame."""
        return await asyncio.get_running_loop().sock_recv(self.socket, 2048)

    async def frame(self, within: float = PATIENCE) -> Ether:
        """Return the next frame."""
        async with asyncio.timeout(within):
            return Ether(await self.received())

    def nothing_waits(self) -> bool:
        """Whether every frame that came was taken."""
        return not select.select([self.socket], [], [], 0.0)[0]

    async def listen(self) -> None:
        """Throw frames away until there is an error, and raise that."""
        while True:
            await self.frame()

    async def reply(self, within: float = PATIENCE) -> Ether:
        """Return the next reply to us. Gratuitous frames go to everybody and don't count."""
        async with asyncio.timeout(within):
            while True:
                frame = await self.frame()
                if frame.dst == self.mac and ARP in frame and frame[ARP].op == 2:
                    return frame

    async def replies(
        self, target: str = VIP, destination: str = BROADCAST, fence: str = FENCE
    ) -> list[Ether]:
        """Ask, and return every reply. Needs the fence to be announced."""
        sender = next(_senders)  # so that late replies to earlier questions don't count
        self.ask(target, destination, sender)
        self.ask(fence, sender=sender)
        heard: list[Ether] = []
        while (reply := await self.reply())[ARP].psrc != fence or reply[ARP].pdst != sender:
            if reply[ARP].pdst == sender:
                heard.append(reply)
        return heard

    async def answered(self, target: str = VIP, within: float = PATIENCE) -> Ether:
        """Ask again and again until there is an answer, and return that."""
        async with asyncio.timeout(within):
            while True:
                self.ask(target)
                with contextlib.suppress(TimeoutError):
                    while (reply := await self.reply(0.05))[ARP].psrc != target:
                        pass
                    return reply

    async def silent(self, target: str = VIP, within: float = PATIENCE) -> None:
        """Ask again and again until there is no answer any more."""
        async with asyncio.timeout(within):
            while await self.replies(target):
                pass


class Node:
    """A responder under test and what it has reported."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.events: list[ResponderEvent] = []
        self.history: list[ResponderEvent] = []
        self._arrived = asyncio.Event()
        self.responder = Responder(self._note, settings)

    def announce(self, *addresses: str) -> None:
        """Announce these."""
        for address in addresses:
            self.responder.announce(ip_address(address))

    def withdraw(self, *addresses: str) -> None:
        """Withdraw these."""
        for address in addresses:
            self.responder.withdraw(ip_address(address))

    async def saw(
        self, kind: type[E], that: Callable[[E], bool] = lambda _: True, within: float = PATIENCE
    ) -> E:
        """Wait for the next event of a kind that no call has returned yet."""
        async with asyncio.timeout(within):
            while True:
                for event in self.events:
                    if isinstance(event, kind) and that(event):
                        self.events.remove(event)
                        return event
                self._arrived.clear()
                await self._arrived.wait()

    def process(self) -> int:
        """Return the number of the responder process."""
        (child,) = responder_processes(os.getpid())
        return child

    def kill(self) -> None:
        """Kill the responder process as a crash would."""
        os.kill(self.process(), signal.SIGKILL)

    def _note(self, event: ResponderEvent) -> None:
        self.events.append(event)
        self.history.append(event)
        self._arrived.set()


@contextlib.asynccontextmanager
async def running_node(*addresses: str, settings: Settings | None = None) -> AsyncIterator[Node]:
    """Run a responder that announces these, for the length of a block."""
    node = Node(settings)
    node.announce(*addresses)
    task = asyncio.create_task(node.responder.run())
    try:
        yield node
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def responder_processes(parent: int) -> list[int]:
    """Return the numbers of the responder processes that a process has started."""
    return [
        int(line.split()[0])
        for line in _run("ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)).splitlines()
        if "responder_process" in line
    ]


async def gone(process: int, within: float = PATIENCE) -> None:
    """Wait for the end of a process, be it our child or not."""
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


def ip(*arguments: str) -> str:
    """Run the ``ip`` program."""
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
