"""Sessions that a node has with the configured peers, and their changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from metallb_py.model.peers import Peer, SessionParameters
from metallb_py.model.selectors import LabelSelector, Operator, Requirement
from speaker.bgp.peering import (
    ListenAt,
    Peering,
    PeeringChange,
    RemovalReason,
    changes,
    peering_for,
    router_id_for,
)

RACK_A = LabelSelector(frozenset({Requirement("rack", Operator.IN, frozenset({"a"}))}))
SESSION = SessionParameters(64512, 64513, ip_address("10.0.0.2"))
ELSEWHERE = replace(SESSION, address=ip_address("10.0.0.3"))
ANYWHERE, IN_RACK_A = Peer(SESSION), Peer(ELSEWHERE, node_selectors=(RACK_A,))


def sessions(*peers: Peer, **labels: str) -> tuple[str, ...]:
    return tuple(str(session) for session in peering_for(peers, labels).sessions)


def test_a_node_holds_sessions_with_the_peers_that_select_it() -> None:
    assert sessions(ANYWHERE, IN_RACK_A, rack="a") == ("10.0.0.2:179", "10.0.0.3:179")
    assert sessions(ANYWHERE, IN_RACK_A, rack="b") == ("10.0.0.2:179",)


def test_one_address_may_have_sessions_on_different_ports() -> None:
    assert sessions(ANYWHERE, Peer(replace(SESSION, port=1790))) == (
        "10.0.0.2:179",
        "10.0.0.2:1790",
    )


def test_peers_that_differ_in_selectors_alone_make_one_session() -> None:
    assert sessions(ANYWHERE, replace(ANYWHERE, node_selectors=(RACK_A,)), rack="a") == (
        "10.0.0.2:179",
    )
    assert not peering_for([ANYWHERE, replace(ANYWHERE, node_selectors=(RACK_A,))], {}).filtered


def test_a_reload_keeps_unchanged_sessions() -> None:
    before = peering_for([ANYWHERE, IN_RACK_A], {"rack": "a"})
    selected_otherwise = replace(ANYWHERE, node_selectors=(RACK_A,))
    after = peering_for([IN_RACK_A, selected_otherwise], {"rack": "a"})

    assert changes(before.sessions, after) == PeeringChange((), ())


def test_a_peer_is_named_by_name_or_address() -> None:
    named = replace(ANYWHERE, name="tor-1")
    twice = replace(ANYWHERE, name="tor-2")
    other = Peer(ELSEWHERE, name="tor-3")

    def peer_groups(*names: str) -> list[set[str]]:
        peering = peering_for([named, twice, other], {}, frozenset(names))
        return [set(peering.peer_groups[session]) for session in peering.sessions]

    assert peer_groups() == [set(), set()]
    assert peer_groups("tor-1", "tor-9") == [{"tor-1"}, set()]
    assert peer_groups("tor-2", "10.0.0.3") == [{"tor-2"}, {"10.0.0.3"}]


def test_a_peer_that_gets_another_name_keeps_its_session() -> None:
    old, new = (peering_for([replace(ANYWHERE, name=name)], {}) for name in ("a", "b"))

    assert changes(old.sessions, new) == PeeringChange((), ())


def test_sessions_end_for_metallbs_reasons() -> None:
    running = peering_for([ANYWHERE, IN_RACK_A], {"rack": "a"}).sessions
    now = peering_for([IN_RACK_A], {"rack": "b"})

    assert changes(running, now) == PeeringChange(
        (
            (running[0], RemovalReason.REMOVED_FROM_CONFIG),
            (running[1], RemovalReason.FILTERED_BY_NODE_SELECTOR),
        ),
        (),
    )


@pytest.mark.parametrize(
    "changed",
    [
        replace(SESSION, hold_time=30),
        replace(SESSION, keepalive_time=3),
        replace(SESSION, password="x"),
        replace(SESSION, local_asn=64514),
        replace(SESSION, peer_asn=64514),
        replace(SESSION, router_id=ip_address("10.9.9.9")),
        replace(SESSION, source_address=ip_address("10.0.0.9")),
    ],
)
def test_any_change_of_a_peer_replaces_its_session(changed: SessionParameters) -> None:
    old, new = peering_for([ANYWHERE], {}), peering_for([Peer(changed)], {})

    assert changes(old.sessions, new) == PeeringChange(
        ((old.sessions[0], RemovalReason.REMOVED_FROM_CONFIG),), new.sessions
    )


def test_without_peers_there_is_no_change() -> None:
    assert changes((), Peering()) == PeeringChange((), ())


V4 = IPv4Address("10.0.0.1")
V6 = IPv6Address("fd00::1")


@pytest.mark.parametrize(
    ("configured", "local", "beside", "router_id"),
    [
        (IPv4Address("10.9.9.9"), V4, None, "10.9.9.9"),
        (None, V4, None, "10.0.0.1"),
        (V6, V4, None, "10.0.0.1"),  # an IPv6 router ID counts as none
        (None, V6, IPv4Address("10.0.0.5"), "10.0.0.5"),
        (None, V6, None, "64.37.239.133"),  # of "node1", as MetalLB computes it
    ],
)
def test_the_router_id_is_derived_as_metallb_does(
    configured: IPv4Address | IPv6Address | None,
    local: IPv4Address | IPv6Address,
    beside: IPv4Address | None,
    router_id: str,
) -> None:
    assert router_id_for(configured, local, beside, "node1") == IPv4Address(router_id)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (ListenAt(), "*:179"),
        (ListenAt(ip_address("10.0.0.1")), "10.0.0.1:179"),
        (ListenAt(ip_address("fd00::1"), 1179), "[fd00::1]:1179"),
    ],
)
def test_listen_address_and_port_as_text(at: ListenAt, text: str) -> None:
    assert str(at) == text
