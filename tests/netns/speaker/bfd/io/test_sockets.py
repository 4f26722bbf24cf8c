"""BFD's sockets over a veth pair, observed at its other end."""

from __future__ import annotations

import errno
import select
import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.net.namespaces import inside
from support.net.router_link import (
    NODE,
    NODE_SECOND,
    NODE_V6,
    ROUTER,
    ROUTER_V6,
    RouterLink,
)

from metallb_py.protocols.bfd.sessions import Arrival
from metallb_py.protocols.bfd.settings import Path
from speaker.bfd.io.sockets import SOURCE_PORTS, Listener, Place, Port, Sender

pytestmark = pytest.mark.netns


def listen(cable: RouterLink, version: int, port: Port) -> Listener:
    with inside(cable.router):
        return Listener(Place(version, port))


def next_of(listener: Listener) -> tuple[bytes, Arrival]:
    assert select.select([listener], [], [], 5.0)[0]
    (arrived,) = listener.receive()
    return arrived


@pytest.mark.parametrize(
    ("path", "arrival"),
    [
        (Path(ip_address(ROUTER)), (NODE, ROUTER)),
        (Path(ip_address(ROUTER), ip_address(NODE_SECOND)), (NODE_SECOND, ROUTER)),
        (Path(ip_address(ROUTER_V6)), (NODE_V6, ROUTER_V6)),
        (Path(ip_address(ROUTER), multihop=True), (NODE, ROUTER)),
        (Path(ip_address(ROUTER_V6), multihop=True), (NODE_V6, ROUTER_V6)),
    ],
)
def test_control_packet_arrives_with_ttl_255(
    cable: RouterLink, path: Path, arrival: tuple[str, str]
) -> None:
    port = Port.MULTIHOP if path.multihop else Port.SINGLE_HOP
    listener, sender = listen(cable, path.peer.version, port), Sender(path, 7)
    sender.send(b"control")
    source, destination = map(ip_address, arrival)

    assert next_of(listener) == (b"control", Arrival(source, destination, 255, path.multihop))
    sender.close()
    listener.close()


@pytest.mark.parametrize(("address", "version"), [(ROUTER, 4), (ROUTER_V6, 6)])
def test_echo_packet_is_returned_with_ttl_254(
    cable: RouterLink, address: str, version: int
) -> None:
    listener, sender = listen(cable, version, Port.ECHO), Sender(Path(ip_address(address)), 7)
    sender.return_echo(b"echo")

    data, arrival = next_of(listener)
    assert (data, arrival.ttl) == (b"echo", 254)
    sender.close()
    listener.close()


def test_source_port_is_in_the_rfc_5881_range_and_constant(cable: RouterLink) -> None:
    with inside(cable.router):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("", Port.SINGLE_HOP))
    path = Path(ip_address(ROUTER))
    senders = [Sender(path, len(SOURCE_PORTS) - 1) for _ in range(2)]
    ports = []
    for sender in (*senders, *senders):
        sender.send(b"control")
        ports.append(other.recvfrom(100)[1][1])

    assert ports == [65535, 49152] * 2
    for sender in senders:
        sender.close()
    other.close()


def test_missing_source_address_is_an_error(cable: RouterLink) -> None:
    with pytest.raises(OSError, match="assign") as caught:
        Sender(Path(ip_address(ROUTER), ip_address("10.77.0.99")), 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_port_in_use_is_an_error(cable: RouterLink) -> None:
    place = Place(4, Port.SINGLE_HOP)
    first = Listener(place)
    with pytest.raises(OSError, match="in use"):
        Listener(place)
    Listener(replace(place, version=6)).close()
    first.close()


def test_packet_without_a_route_is_lost_without_an_error(cable: RouterLink) -> None:
    sender = Sender(Path(ip_address("192.0.2.1")), 0)  # there is no route
    sender.send(b"control")
    sender.close()
