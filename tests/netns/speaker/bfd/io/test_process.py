"""The BFD process itself, driven over its socket pair, with a router on a veth pair."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path as FilePath
from statistics import median

import pytest
from support.net.namespaces import inside
from support.net.router_link import NODE, ROUTER, RouterLink, router_link
from support.net.waiting import TIMEOUT

from metallb_py.protocols.bfd.packet import ControlPacket, Diagnostic, State, decode, encode
from metallb_py.protocols.bfd.session import ADMIN_DOWN_TRANSMISSIONS
from metallb_py.protocols.bfd.settings import Path, Settings
from speaker.bfd.io.messages import (
    Change,
    Configure,
    PathName,
    Report,
    Watch,
    decode_report,
)
from speaker.bfd.io.messages import encode as encode_message
from speaker.bfd.io.sockets import Listener, Place, Port, Sender
from speaker.linux.channel import PART_LIMIT, Assembly, split

pytestmark = pytest.mark.netns

PATH = Path(ip_address(ROUTER))
SETTINGS = Settings(50_000, 50_000, 3, echo=True)


class Process:
    """The process, and our end of its socket pair."""

    def __init__(self, popen: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.popen = popen
        self.control = control

    def configure(self, *paths: Path, settings: Settings = SETTINGS) -> None:
        watches = tuple(Watch(PathName.of(path), settings) for path in paths)
        for part in split(encode_message(Configure(watches))):
            self.control.send(part)

    def report(self) -> Report:
        assembly = Assembly()
        while (message := assembly.add(self.control.recv(PART_LIMIT))) is None:
            pass
        return decode_report(message)

    def change(self) -> Change:
        """Return the next change of a session."""
        while not (changes := self.report().changes):
            pass
        (change,) = changes
        return change


class Router:
    """The other end of the veth pair, driven by hand."""

    def __init__(self, cable: RouterLink) -> None:
        with inside(cable.router):
            self._listener = Listener(Place(4, Port.SINGLE_HOP))
            self._echoes = Listener(Place(4, Port.ECHO))
            self._sender = Sender(Path(ip_address(NODE)), 5)

    def receive(self, within: float = TIMEOUT) -> ControlPacket:
        assert select.select([self._listener], [], [], within)[0]
        data, _ = next(self._listener.receive())
        return decode(data)

    def receive_echo(self) -> tuple[bytes, int]:
        assert select.select([self._echoes], [], [], TIMEOUT)[0]
        data, arrival = next(self._echoes.receive())
        return data, arrival.ttl

    def send(self, packet: ControlPacket) -> None:
        self._sender.send(encode(packet))

    def send_echo(self, data: bytes) -> None:
        self._sender._set_ttl(255)
        self._sender._send(data, (NODE, Port.ECHO))

    def come_up(self) -> ControlPacket:
        """Do the three-way handshake; return the packet to send from then on."""
        ours = self.receive().my_discriminator
        packet = ControlPacket(State.INIT, 99, ours, 3, 50_000, 50_000)
        self.send(packet)
        while self.receive().state is not State.UP:
            pass
        return replace(packet, state=State.UP, final=True)

    def close(self) -> None:
        for one in (self._listener, self._echoes, self._sender):
            one.close()


@pytest.fixture
def cable() -> Iterator[RouterLink]:
    with router_link() as made, inside(made.node):
        forward("1")
        yield made


def forward(value: str) -> None:
    FilePath("/proc/sys/net/ipv4/ip_forward").write_text(value)


@pytest.fixture
def router(cable: RouterLink) -> Iterator[Router]:
    made = Router(cable)
    yield made
    made.close()


@pytest.fixture
def process(cable: RouterLink) -> Iterator[Process]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "speaker.bfd.io.process", str(theirs.fileno())]
    ours.settimeout(TIMEOUT)
    with ours, theirs:
        popen = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        theirs.close()
        try:
            yield Process(popen, ours)
        finally:
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(2.0)
            popen.kill()
            popen.wait()


def test_session_comes_up_and_goes_down_after_the_detection_time(
    process: Process, router: Router
) -> None:
    process.configure(PATH)
    last = router.come_up()
    router.send(last)
    before = time.monotonic()
    assert process.change() == Change(PathName.of(PATH), up=True)

    change = process.change()
    assert change == Change(PathName.of(PATH), False, True, Diagnostic.DETECTION_TIME_EXPIRED)
    assert time.monotonic() - before > 0.14


def test_control_packets_are_sent_at_the_transmit_interval(
    process: Process, router: Router
) -> None:
    process.configure(PATH)
    last = router.come_up()
    times = []
    for _ in range(40):
        router.send(last)
        router.receive()
        times.append(time.monotonic())
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert 0.035 < median(gaps) < 0.5


def test_stopped_process_keeps_its_session_up(process: Process, router: Router) -> None:
    process.configure(PATH)
    last = router.come_up()
    router.send(last)
    process.change()
    process.popen.send_signal(signal.SIGSTOP)
    for _ in range(10):
        router.send(last)
        time.sleep(0.03)
    process.popen.send_signal(signal.SIGCONT)
    while not select.select([process.control], [], [], 0)[0]:
        router.send(last)
        router.receive()

    (totals,) = process.report().totals
    assert (totals.counts.ups, totals.counts.downs) == (1, 0)


def test_echo_packets_are_returned_to_the_router(process: Process, router: Router) -> None:
    process.configure(PATH)
    router.come_up()
    router.send_echo(b"are you there?")

    assert router.receive_echo() == (b"are you there?", 254)


def test_echo_is_offered_only_while_the_host_forwards(process: Process, router: Router) -> None:
    forward("0")
    process.configure(PATH)
    while (errors := process.report().errors) is None:
        pass
    assert errors == (f"echo with {ROUTER}: this host does not forward IPv4",)
    assert router.receive().required_min_echo_rx == 0
    forward("1")

    while router.receive().required_min_echo_rx == 0:
        pass


def test_process_sends_admin_down_when_the_socket_pair_is_closed(
    process: Process, router: Router
) -> None:
    process.configure(PATH)
    router.come_up()
    process.control.close()

    assert process.popen.wait(TIMEOUT) == 0
    states = []
    with contextlib.suppress(AssertionError):
        while True:
            states.append(router.receive(0.2).state)
    assert states[-ADMIN_DOWN_TRANSMISSIONS:] == [State.ADMIN_DOWN] * ADMIN_DOWN_TRANSMISSIONS


def test_port_in_use_is_reported_and_retried(process: Process, router: Router) -> None:
    taken = Listener(Place(4, Port.SINGLE_HOP))
    process.configure(PATH)
    while (errors := process.report().errors) is None:
        pass
    assert errors == ("UDP port 3784 of IPv4: Address already in use",)
    taken.close()

    while (errors := process.report().errors) is None:
        pass
    assert errors == ()
    router.come_up()


def test_missing_local_address_is_reported_and_retried(process: Process, router: Router) -> None:
    address = "10.77.0.99"
    process.configure(Path(PATH.peer, ip_address(address)))
    while not (errors := process.report().errors):
        pass
    assert errors == (f"session with {ROUTER}: Cannot assign requested address",)
    subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"], check=True)

    assert router.receive().state is State.DOWN


def test_process_is_small_and_holds_no_capability(process: Process, router: Router) -> None:
    process.configure(PATH)
    router.come_up()
    status = dict(
        line.split(":\t", 1)
        for line in FilePath(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    )
    assert int(status["CapEff"], 16) == 0
    assert int(status["VmRSS"].split()[0]) < 32 * 1024
