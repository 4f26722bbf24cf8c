"""Peers and the parameters of their sessions."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from metallb_py.model.peers import Peer, SessionParameters
from metallb_py.model.selectors import LabelSelector, Operator, Requirement


@pytest.mark.parametrize(
    ("address", "port", "text"),
    [("10.0.0.2", 179, "10.0.0.2:179"), ("fd00::2", 1790, "[fd00::2]:1790")],
)
def test_a_session_prints_as_metallbs_label(address: str, port: int, text: str) -> None:
    assert str(SessionParameters(64512, 64513, ip_address(address), port)) == text


@pytest.mark.parametrize(
    ("address", "text"), [("fe80::2", "[fe80::2%eth0]:179"), (None, "eth0:179")]
)
def test_a_session_on_a_link_prints_with_its_interface(address: str | None, text: str) -> None:
    parsed = ip_address(address) if address is not None else None
    assert str(SessionParameters(64512, 64513, parsed, interface="eth0")) == text


def test_the_password_never_prints() -> None:
    peer = Peer(SessionParameters(64512, 64513, ip_address("10.0.0.2"), password="s3cret"))

    assert peer.session.password == "s3cret"
    assert "s3cret" not in repr(peer) + str(peer)


def test_a_peer_selects_nodes_by_any_of_its_selectors() -> None:
    rack = LabelSelector(frozenset({Requirement("rack", Operator.EXISTS)}))
    zone = LabelSelector(frozenset({Requirement("zone", Operator.EXISTS)}))
    peer = Peer(SessionParameters(1, 2), node_selectors=(rack, zone))
    assert peer.selects({"zone": "a"})
    assert not peer.selects({})
    assert Peer(SessionParameters(1, 2)).selects({})
