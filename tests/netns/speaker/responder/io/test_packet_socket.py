"""The packet socket, and the kernel's evaluation of our filters."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from scapy.layers.l2 import ARP, Ether
from support.layer2.client_link import CLIENT_IP, VIP, Client, client_link

from metallb_py.protocols.ethernet import EtherType
from speaker.responder.bpf import MAX_RANGES, arp_filter
from speaker.responder.io.packet_socket import FRAME_LIMIT, PacketSocket, attach_filter

pytestmark = pytest.mark.netns

OWNED = IPv4Address(VIP).packed


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ends[0], ends[1]:
        ends[1].setblocking(False)
        yield ends


def request(target: str | IPv4Address) -> bytes:
    return bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc=CLIENT_IP, pdst=str(target)))


def assert_nothing_waits(receiver: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        receiver.recv(FRAME_LIMIT)


def test_filter_applies_from_the_first_frame_on(client: Client) -> None:
    with PacketSocket("eth0", EtherType.ARP, arp_filter([OWNED])) as sniffer:
        for target in ("192.0.2.99", VIP, "192.0.2.101"):
            client.ask(target)
        assert Ether(sniffer.recv(FRAME_LIMIT))[ARP].pdst == VIP
        assert_nothing_waits(sniffer)

        sniffer.attach(arp_filter([IPv4Address("192.0.2.101").packed]))
        for target in ("192.0.2.99", VIP, "192.0.2.101"):
            client.ask(target)
        assert Ether(sniffer.recv(FRAME_LIMIT))[ARP].pdst == "192.0.2.101"
        assert_nothing_waits(sniffer)


async def test_sent_frame_arrives(client: Client) -> None:
    with PacketSocket("eth0", EtherType.ARP, arp_filter([])) as sender:
        sender.send(request("192.0.2.33"))
        assert (await client.frame())[ARP].pdst == "192.0.2.33"


def test_missing_interface_is_an_error() -> None:
    with client_link(connected=False), pytest.raises(OSError, match="No such device"):
        PacketSocket("eth0", EtherType.ARP, arp_filter([]))


def test_kernel_filters_every_address_correctly(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    # The kernel runs filters on any socket; on this one, frames are only bytes.
    ours, theirs = pair
    first = int(IPv4Address("10.0.0.0"))
    owned = {first, first + 1, first + 2, first + 9, first + 30, first + 31, first + 63}
    attach_filter(theirs, arp_filter(number.to_bytes(4) for number in owned))

    for number in range(first - 2, first + 66):
        frame = request(IPv4Address(number))
        ours.send(frame)
        if number in owned:
            assert theirs.recv(2048) == frame
        else:
            assert_nothing_waits(theirs)


def test_kernel_accepts_the_largest_filter(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    attach_filter(theirs, arp_filter((i * i).to_bytes(4) for i in range(10 * MAX_RANGES)))
    ours.send(request(IPv4Address(17**2)))
    assert theirs.recv(2048)


def test_kernel_refuses_an_invalid_bpf_program(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        attach_filter(pair[1], bytes(8))


def test_receive_buffer_overruns_are_counted(client: Client) -> None:
    with PacketSocket("eth0", EtherType.ARP, arp_filter([OWNED])) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel's minimum
        assert receiver.overruns() == 0
        for _ in range(100):
            client.ask(VIP)
        received = 0
        with contextlib.suppress(BlockingIOError):
            while receiver.recv(FRAME_LIMIT):
                received += 1
        assert 0 < received < 100
        assert receiver.overruns() == 100 - received
        assert receiver.overruns() == 0
