"""Sockets to BGP peers: TTL security (RFC 5082), and the interface of link-local peers."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest
from support.bgp.node import peer
from support.net.router_link import NODE, NODE_V6

from metallb_py.errors import LocalProtocolError
from speaker.bgp.io.socket_options import destination, open_socket

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("cable")]


@pytest.mark.parametrize("host", [NODE, NODE_V6])
@pytest.mark.parametrize(("ttl", "reached"), [(255, True), (254, False)])
def test_ttl_security_drops_segments_of_a_distant_router(
    host: str, ttl: int, reached: bool
) -> None:
    """The TTL of the listener's segments simulates a router at a distance."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    near = peer(host, 1, 2, ttl_security=1)
    with (
        socket.create_server((host, 179), family=family) as server,
        open_socket(near, ip_address(host)) as sock,
    ):
        if family == socket.AF_INET:
            server.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        sock.settimeout(0.5)
        if reached:
            sock.connect((host, 179))
        else:
            with pytest.raises(TimeoutError):
                sock.connect((host, 179))


def test_link_local_peer_needs_an_interface() -> None:
    address = ip_address("fe80::1")
    assert destination(peer("fe80::1", 1, 2, interface="lo"), address) == ("fe80::1", 179, 0, 1)
    with pytest.raises(LocalProtocolError, match='interface "eth9" doesn\'t exist'):
        destination(peer("fe80::1", 1, 2, interface="eth9"), address)
    with pytest.raises(LocalProtocolError, match="want an interface beside it"):
        destination(peer("fe80::1", 1, 2), address)


def test_other_peers_need_no_interface() -> None:
    assert destination(peer(NODE, 1, 2, port=1179), ip_address(NODE)) == (NODE, 1179)
