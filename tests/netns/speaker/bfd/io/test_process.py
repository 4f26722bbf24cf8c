"""The BFD process itself, spoken to over its socket pair and over a cable."""

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
from support.bgp_wire import NODE, ROUTER, Wire, inside, wire
from support.patience import PATIENCE

from metallb_py.protocols.bfd.packet import ControlPacket, Diagnostic, State, decode, encode
from metallb_py.protocols.bfd.session import LAST_WORDS
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

    def want(self, *paths: Path, settings: Settings = SETTINGS) -> None:
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
    """The other end of the cable, by hand."""

    def __init__(self, cable: Wire) -> None:
        with inside(cable.router):
            self._listener = Listener(Place(4, Port.SINGLE_HOP))
            self._echoes = Listener(Place(4, Port.ECHO))
            self._sender = Sender(Path(ip_address(NODE)), 5)

    def hears(self, within: float = PATIENCE) -> ControlPacket:
        assert select.select([self._listener], [], [], within)[0]
        data, _ = next(self._listener.receive())
        return decode(data)

    def hears_echo(self) -> tuple[bytes, int]:
        assert select.select([self._echoes], [], [], PATIENCE)[0]
        data, arrival = next(self._echoes.receive())
        return data, arrival.ttl

    def says(self, packet: ControlPacket) -> None:
        self._sender.send(encode(packet))

    def sends_echo(self, data: bytes) -> None:
        self._sender._set_ttl(255)
        self._sender._send(data, (NODE, Port.ECHO))

    def comes_up(self) -> ControlPacket:
        """Shake hands; return what to say from then on."""
        ours = self.hears().my_discriminator
        packet = ControlPacket(State.INIT, 99, ours, 3, 50_000, 50_000)
        self.says(packet)
        while self.hears().state is not State.UP:
            pass
        return replace(packet, state=State.UP, final=True)

    def close(self) -> None:
        for one in (self._listener, self._echoes, self._sender):
            one.close()


@pytest.fixture
def cable() -> Iterator[Wire]:
    with wire() as made, inside(made.node):
        forward("1")
        yield made


def forward(value: str) -> None:
    FilePath("/proc/sys/net/ipv4/ip_forward").write_text(value)


@pytest.fixture
def router(cable: Wire) -> Iterator[Router]:
    made = Router(cable)
    yield made
    made.close()


@pytest.fixture
def process(cable: Wire) -> Iterator[Process]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "speaker.bfd.io.process", str(theirs.fileno())]
    ours.settimeout(PATIENCE)
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


def test_it_comes_up_and_falls_when_the_router_is_silent(process: Process, router: Router) -> None:
    process.want(PATH)
    last = router.comes_up()
    router.says(last)
    before = time.monotonic()
    assert process.change() == Change(PathName.of(PATH), up=True)

    change = process.change()
    assert change == Change(PathName.of(PATH), False, True, Diagnostic.DETECTION_TIME_EXPIRED)
    assert time.monotonic() - before > 0.14


def test_packets_come_in_time(process: Process, router: Router) -> None:
    process.want(PATH)
    last = router.comes_up()
    times = []
    for _ in range(40):
        router.says(last)
        router.hears()
        times.append(time.monotonic())
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert 0.035 < median(gaps) < 0.5


def test_it_stays_up_where_it_stood_still_itself(process: Process, router: Router) -> None:
    process.want(PATH)
    last = router.comes_up()
    router.says(last)
    process.change()
    process.popen.send_signal(signal.SIGSTOP)
    for _ in range(10):
        router.says(last)
        time.sleep(0.03)
    process.popen.send_signal(signal.SIGCONT)
    while not select.select([process.control], [], [], 0)[0]:
        router.says(last)
        router.hears()

    (totals,) = process.report().totals
    assert (totals.counts.ups, totals.counts.downs) == (1, 0)


def test_echoes_go_back_to_the_router(process: Process, router: Router) -> None:
    process.want(PATH)
    router.comes_up()
    router.sends_echo(b"are you there?")

    assert router.hears_echo() == (b"are you there?", 254)


def test_echo_is_offered_only_while_it_would_work(process: Process, router: Router) -> None:
    forward("0")
    process.want(PATH)
    while (errors := process.report().errors) is None:
        pass
    assert errors == (f"echo with {ROUTER}: this host does not forward IPv4",)
    assert router.hears().required_min_echo_rx == 0
    forward("1")

    while router.hears().required_min_echo_rx == 0:
        pass


def test_it_says_farewell_when_nobody_is_there_any_more(process: Process, router: Router) -> None:
    process.want(PATH)
    router.comes_up()
    process.control.close()

    assert process.popen.wait(PATIENCE) == 0
    states = []
    with contextlib.suppress(AssertionError):
        while True:
            states.append(router.hears(0.2).state)
    assert states[-LAST_WORDS:] == [State.ADMIN_DOWN] * LAST_WORDS


def test_a_port_that_is_taken_is_told_and_tried_again(process: Process, router: Router) -> None:
    taken = Listener(Place(4, Port.SINGLE_HOP))
    process.want(PATH)
    while (errors := process.report().errors) is None:
        pass
    assert errors == ("UDP port 3784 of IPv4: Address already in use",)
    taken.close()

    while (errors := process.report().errors) is None:
        pass
    assert errors == ()
    router.comes_up()


def test_a_local_address_that_is_not_there_yet_is_waited_for(
    process: Process, router: Router
) -> None:
    address = "10.77.0.99"
    process.want(Path(PATH.peer, ip_address(address)))
    while not (errors := process.report().errors):
        pass
    assert errors == (f"session with {ROUTER}: Cannot assign requested address",)
    subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"], check=True)

    assert router.hears().state is State.DOWN


def test_it_is_small_and_holds_no_capability(process: Process, router: Router) -> None:
    process.want(PATH)
    router.comes_up()
    status = dict(
        line.split(":\t", 1)
        for line in FilePath(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    )
    assert int(status["CapEff"], 16) == 0
    assert int(status["VmRSS"].split()[0]) < 32 * 1024
