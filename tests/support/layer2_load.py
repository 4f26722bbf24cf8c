"""Questions by the hundred thousand, from the client's end of a cable.

Plain bytes: to build and read each frame with scapy would measure scapy.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import cycle, islice
from typing import NamedTuple

from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6, in6_getnsma, in6_getnsmac
from scapy.layers.l2 import ARP, Ether
from support.bgp_wire import inside
from support.layer2_wire import BROADCAST, CLIENT_IP, SO_RCVBUFFORCE, Wire
from support.patience import PATIENCE

from metallb_py.protocols.ethernet import EtherType
from speaker.responder.io.packet_socket import attach_filter

CLIENT6 = "fe80::cafe"
ARP_ANSWER = (20, 0x0002)  # where a frame has its kind, and what that is
ADVERTISEMENT = (54, 0x8800)
_PATIENCE = 1.0
_CHUNK = 500


@dataclass(frozen=True)
class Rate:
    """So many answers in so many seconds, for so many of which the asker occupied a core."""

    answers: int
    seconds: float
    busy: float

    @property
    def measured(self) -> float:
        """Answers in a second."""
        return self.answers / self.seconds

    def undisturbed(self, responder: float = 0.0) -> float:
        """Answers in a second, had each a core of its own: the busier of the two decides."""
        return self.answers / max(self.busy, responder)


class Delay(NamedTuple):
    """When something was asked, on the monotonic clock, and how long the answer took, in s."""

    asked: float
    taken: float


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Return what tells whether that time has not passed yet."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def percentile(delays: Sequence[Delay], part: float) -> float:
    """Return what so many of a hundred answers took at most, in milliseconds."""
    ordered = sorted(delay.taken for delay in delays)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * part / 100))]


class Asker:
    """Keeps so many requests in flight. Hears answers only: the kernel drops the rest."""

    def __init__(self, wire: Wire, ether_type: EtherType, answer: tuple[int, int]) -> None:
        with inside(wire.client):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            attach_filter(self._socket, _only(*answer))
            self._socket.bind(("eth0", ether_type))
        self.mac = self._socket.getsockname()[4].hex(":")
        # Not settimeout: that would add a poll to each call.
        timeout = struct.pack("ll", int(_PATIENCE), 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)

    def send(self, frame: bytes) -> None:
        """Send a frame, and wait for nothing."""
        self._socket.send(frame)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def until_answered(self, request: bytes, within: float = PATIENCE) -> None:
        """Ask again and again until there is an answer."""
        deadline = time.monotonic() + within
        while not select.select([self._socket], [], [], 0.02)[0]:
            assert time.monotonic() < deadline, "no answer"
            self._socket.send(request)

    def rate(self, requests: Sequence[bytes], in_flight: int, seconds: float) -> Rate:
        """Ask for so long."""
        self._drain()
        receive, send = self._socket.recv_into, self._socket.send
        buffer = bytearray(256)
        frames = cycle(requests)
        for frame in islice(frames, in_flight):
            send(frame)
        count = 0
        started, busy = time.monotonic(), time.thread_time()
        while (now := time.monotonic()) < started + seconds:
            for frame in islice(frames, _CHUNK):
                receive(buffer)
                send(frame)
            count += _CHUNK
        busy = time.thread_time() - busy
        for _ in range(in_flight):
            receive(buffer)
        return Rate(count, now - started, busy)

    def delays(
        self, requests: Sequence[bytes], going: Callable[[], bool], pause: float
    ) -> list[Delay]:
        """Ask one by one as long as it goes, pausing after each answer. No answer is an error."""
        self._drain()
        buffer = bytearray(256)
        taken: list[Delay] = []
        for frame in cycle(requests):
            if not going():
                break
            asked = time.monotonic()
            self._socket.send(frame)
            self._socket.recv_into(buffer)
            taken.append(Delay(asked, time.monotonic() - asked))
            time.sleep(pause)
        return taken

    def first_answer(self, request: bytes, within: float = PATIENCE) -> float:
        """Ask every millisecond until there is an answer; return when that came."""
        self._drain()
        deadline = time.monotonic() + within
        while not select.select([self._socket], [], [], 0.001)[0]:
            assert time.monotonic() < deadline, "no answer"
            with contextlib.suppress(OSError):  # the cable is out
                self._socket.send(request)
        return time.monotonic()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(256, socket.MSG_DONTWAIT)


@contextlib.contextmanager
def arp_asker(wire: Wire) -> Iterator[Asker]:
    """Open an asker that hears ARP replies."""
    asker = Asker(wire, EtherType.ARP, ARP_ANSWER)
    with contextlib.closing(asker):
        yield asker


@contextlib.contextmanager
def nd_asker(wire: Wire) -> Iterator[Asker]:
    """Open an asker that hears neighbor advertisements."""
    asker = Asker(wire, EtherType.IPV6, ADVERTISEMENT)
    with contextlib.closing(asker):
        yield asker


def arp_requests(mac: str, targets: Sequence[str], senders: Sequence[str] = ()) -> list[bytes]:
    """Return a broadcast request for each target; from each sender in turn where some are given."""
    whole = bytes(Ether(src=mac, dst=BROADCAST) / ARP(op=1, hwsrc=mac, psrc=CLIENT_IP))
    padding = bytes(60 - len(whole))
    return [
        whole[:28]
        + IPv4Address(sender).packed
        + whole[32:38]
        + IPv4Address(target).packed
        + padding
        for sender in senders or [CLIENT_IP]
        for target in targets
    ]


def solicitations(mac: str, targets: Sequence[str], sources: Sequence[str] = ()) -> list[bytes]:
    """Return a multicast solicitation for each target; from each source in turn."""
    return [
        _solicitation(mac, target, source) for source in sources or [CLIENT6] for target in targets
    ]


def _solicitation(mac: str, target: str, source: str) -> bytes:
    group = in6_getnsma(IPv6Address(target).packed)
    frame = Ether(src=mac, dst=in6_getnsmac(group))
    frame /= IPv6(src=source, dst=str(IPv6Address(group)), hlim=255)
    return bytes(frame / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac))


def _only(offset: int, value: int) -> bytes:
    """Return a filter for frames with this 16-bit value there, by hand as bpf(4) has it."""
    program = ((0x28, 0, 0, offset), (0x15, 0, 1, value), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
