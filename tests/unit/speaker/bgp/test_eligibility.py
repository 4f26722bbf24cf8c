"""Nodes that advertise a Service over BGP."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.kube.objects import pool, selector

from metallb_py.addresses import AddressFamily
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.model.config import BgpAdvertisement, Protocol
from metallb_py.model.peers import Peer, SessionParameters
from speaker.bgp.eligibility import Reach, eligible

ELSEWHERE = ServiceEndpoints(1, frozenset({"node2"}))
HERE = ServiceEndpoints(2, frozenset({"node1", "node2"}))
NOWHERE = ServiceEndpoints()
UNPLACED = ServiceEndpoints(1)


@pytest.mark.parametrize(
    ("endpoints", "local", "reason"),
    [
        (HERE, False, ""),
        (HERE, True, ""),
        (ELSEWHERE, False, ""),
        (ELSEWHERE, True, "noLocalEndpoints"),
        (UNPLACED, False, ""),
        (UNPLACED, True, "noLocalEndpoints"),
        (NOWHERE, False, "noEndpoints"),
        (NOWHERE, True, "noLocalEndpoints"),
    ],
)
def test_eligible(endpoints: ServiceEndpoints, local: bool, reason: str) -> None:
    assert eligible(endpoints, "node1", local=local).reason == reason


V4, V6 = ip_address("198.51.100.1"), ip_address("2001:db8::1")
SESSION = SessionParameters(64512, 64513, ip_address("10.0.0.2"))
PEER = Peer(SESSION, name="tor")
OTHER = Peer(replace(SESSION, address=ip_address("10.0.0.3")), name="spine")
ONLY_V4, ONLY_V6 = (
    replace(PEER, session=replace(SESSION, address_families=frozenset({family})))
    for family in AddressFamily
)
POOL = pool("routed", "198.51.100.0/24", "2001:db8::/64", protocol=Protocol.BGP)
RACK1 = (selector(rack="1"),)
LABELS = {"rack": "1"}


def reaches(
    *peers: Peer, advertised: tuple[BgpAdvertisement, ...] = (BgpAdvertisement(),)
) -> tuple[bool, bool]:
    """Return whether an IPv4 and an IPv6 address of a pool are advertised to any peer."""
    reach, routed = Reach(peers), replace(POOL, bgp_advertisements=advertised)
    first, second = (reach.has_peer(each, routed, "node1", LABELS) for each in (V4, V6))
    return first, second


@pytest.mark.parametrize(
    ("peers", "reached"),
    [
        ((), (False, False)),
        ((PEER,), (True, True)),
        ((replace(PEER, node_selectors=(selector(rack="2"),)),), (False, False)),
        ((replace(PEER, node_selectors=(selector(rack="2"),)), OTHER), (True, True)),
        ((ONLY_V4,), (True, False)),
        ((ONLY_V6,), (False, True)),
    ],
)
def test_peers_are_reached_by_node_selector_and_address_family(
    peers: tuple[Peer, ...], reached: tuple[bool, bool]
) -> None:
    assert reaches(*peers) == reached


@pytest.mark.parametrize(
    ("advertised", "reached"),
    [
        ((), False),
        ((BgpAdvertisement(node_selectors=RACK1),), True),
        ((BgpAdvertisement(node_selectors=(selector(rack="2"),)),), False),
        ((BgpAdvertisement(peers=frozenset({"tor"})),), True),
        ((BgpAdvertisement(peers=frozenset({"10.0.0.2"})),), True),
        ((BgpAdvertisement(peers=frozenset({"spine"})),), False),
        ((BgpAdvertisement(peers=frozenset({"spine"})), BgpAdvertisement()), True),
    ],
)
def test_advertisements_are_limited_to_nodes_and_peers(
    advertised: tuple[BgpAdvertisement, ...], reached: bool
) -> None:
    assert reaches(PEER, advertised=advertised) == (reached, reached)


def test_the_result_for_one_node_is_not_used_for_another() -> None:
    reach = Reach((replace(PEER, node_selectors=RACK1),))
    assert reach.has_peer(V4, POOL, "node1", LABELS)
    assert not reach.has_peer(V4, POOL, "node2", {"rack": "2"})
    assert reach.has_peer(V4, POOL, "node1", LABELS)
