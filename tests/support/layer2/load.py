"""Load generator of ARP requests and neighbor solicitations at the client's end of a veth pair.

It works on prepared bytes: building and parsing each frame with scapy would measure scapy.
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
from support.layer2.client_link import BROADCAST, CLIENT_IP, SO_RCVBUFFORCE, ClientLink
from support.net.namespaces import inside
from support.net.waiting import TIMEOUT

from metallb_py.protocols.ethernet import EtherType
from speaker.responder.io.packet_socket import attach_filter

CLIENT6 = "fe80::cafe"
ARP_REPLY = (20, 0x0002)  # offset of the kind of message in a frame, and its value
ADVERTISEMENT = (54, 0x8800)
_RECEIVE_TIMEOUT = 1.0
_CHUNK = 500


@dataclass(frozen=True)
class Rate:
    """The result of a throughput measurement."""

    answers: int
    """Number of replies received."""
    seconds: float
    """Duration."""
    busy: float
    """CPU time of the requester, in seconds."""

    @property
    def measured(self) -> float:
        """Replies per second."""
        return self.answers / self.seconds

    def undisturbed(self, responder: float = 0.0) -> float:
        """Replies per second with a core for each side: limited by the busier of the two.

        ``responder`` is the CPU time of the responder, in seconds.
        """
        return self.answers / max(self.busy, responder)


class Delay(NamedTuple):
    """The delay of a reply."""

    asked: float
    """Monotonic time of the request."""
    taken: float
    """Seconds until the reply."""


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Return a predicate that is true for the next ``seconds``."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def percentile(delays: Sequence[Delay], part: float) -> float:
    """Return a percentile of the delays, in milliseconds; ``part`` is from 0 to 100."""
    ordered = sorted(delay.taken for delay in delays)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * part / 100))]


class Requester:
    """Sends requests and receives replies only: a filter in the kernel drops all other frames."""

    def __init__(self, pair: ClientLink, ether_type: EtherType, answer: tuple[int, int]) -> None:
        with inside(pair.client):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            attach_filter(self._socket, _value_filter(*answer))
            self._socket.bind(("eth0", ether_type))
        self.mac = self._socket.getsockname()[4].hex(":")
        # Not settimeout: that would add a poll to each call.
        timeout = struct.pack("ll", int(_RECEIVE_TIMEOUT), 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)

    def send(self, frame: bytes) -> None:
        """Send a frame without waiting for a reply."""
        self._socket.send(frame)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def until_answered(self, request: bytes, within: float = TIMEOUT) -> None:
        """Repeat a request until a reply arrives."""
        deadline = time.monotonic() + within
        while not select.select([self._socket], [], [], 0.02)[0]:
            assert time.monotonic() < deadline, "no answer"
            self._socket.send(request)

    def rate(self, requests: Sequence[bytes], in_flight: int, seconds: float) -> Rate:
        """Send requests for ``seconds`` with ``in_flight`` of them unanswered; return the rate."""
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
        """Send requests one by one while ``going()`` is true; return the delays of the replies.

        Each reply is followed by ``pause`` seconds. Raises OSError if a reply is missing.
        """
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

    def first_answer(self, request: bytes, within: float = TIMEOUT) -> float:
        """Send a request every millisecond until a reply arrives; return its monotonic time."""
        self._drain()
        deadline = time.monotonic() + within
        while not select.select([self._socket], [], [], 0.001)[0]:
            assert time.monotonic() < deadline, "no answer"
            with contextlib.suppress(OSError):  # the link is down
                self._socket.send(request)
        return time.monotonic()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(256, socket.MSG_DONTWAIT)


@contextlib.contextmanager
def arp_requester(pair: ClientLink) -> Iterator[Requester]:
    """Open a requester that receives ARP replies."""
    requester = Requester(pair, EtherType.ARP, ARP_REPLY)
    with contextlib.closing(requester):
        yield requester


@contextlib.contextmanager
def nd_requester(pair: ClientLink) -> Iterator[Requester]:
    """Open a requester that receives neighbor advertisements."""
    requester = Requester(pair, EtherType.IPV6, ADVERTISEMENT)
    with contextlib.closing(requester):
        yield requester


def arp_requests(mac: str, targets: Sequence[str], senders: Sequence[str] = ()) -> list[bytes]:
    """Return a broadcast request for each target, from each sender if any are given."""
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
    """Return a multicast solicitation for each target, from each source."""
    return [
        _solicitation(mac, target, source) for source in sources or [CLIENT6] for target in targets
    ]


def _solicitation(mac: str, target: str, source: str) -> bytes:
    group = in6_getnsma(IPv6Address(target).packed)
    frame = Ether(src=mac, dst=in6_getnsmac(group))
    frame /= IPv6(src=source, dst=str(IPv6Address(group)), hlim=255)
    return bytes(frame / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac))


def _value_filter(offset: int, value: int) -> bytes:
    """Return a classic BPF program that passes frames with this 16-bit value at this offset."""
    program = ((0x28, 0, 0, offset), (0x15, 0, 1, value), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
