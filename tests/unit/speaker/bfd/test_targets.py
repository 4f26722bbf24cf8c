"""BFD sessions that a configuration requires."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from metallb_py.model.config import Config
from metallb_py.model.peers import BfdProfile, Peer, SessionParameters
from metallb_py.model.selectors import LabelSelector, Operator, Requirement
from metallb_py.protocols.bfd.settings import Path, Settings
from speaker.bfd.targets import settings_of, targets_for

ROUTER, LOCAL = ip_address("10.0.0.2"), ip_address("10.0.0.1")
SESSION = SessionParameters(64512, 64513, ROUTER)
PEER = Peer(SESSION, bfd_profile="fast")
IBGP = replace(PEER, session=replace(SESSION, peer_asn=64512))
FAST = BfdProfile("fast", receive_interval=50, transmit_interval=60, detect_multiplier=5)
SLOW = BfdProfile("slow")


def paths(*peers: Peer, neighbor: bool = True, **labels: str) -> dict[Path, Settings]:
    config = Config(peers=peers, bfd_profiles=(FAST, SLOW))
    return dict(targets_for(config, labels, lambda _: neighbor).settings)


def test_a_profile_in_microseconds() -> None:
    assert settings_of(FAST) == Settings(60_000, 50_000, 5)
    assert settings_of(
        BfdProfile("all", echo_interval=70, echo_mode=True, passive_mode=True, minimum_ttl=9)
    ) == Settings(echo_interval=70_000, echo=True, passive=True, minimum_ttl=9)


def test_a_bfd_profile_has_the_defaults_of_frr() -> None:
    assert settings_of(SLOW) == Settings(300_000, 300_000, 3, 50_000, minimum_ttl=254)


def test_peers_without_a_bfd_profile_have_no_bfd_session() -> None:
    assert paths(replace(PEER, bfd_profile="")) == {}
    assert paths(PEER) == {Path(ROUTER): settings_of(FAST)}


def test_only_peers_that_select_the_node_have_a_bfd_session() -> None:
    rack = LabelSelector(frozenset({Requirement("rack", Operator.IN, frozenset({"a"}))}))
    peer = replace(PEER, node_selectors=(rack,))

    assert paths(peer, rack="b") == {}
    assert paths(peer, rack="a") != {}


@pytest.mark.parametrize(
    ("peer", "neighbor", "multihop"),
    [
        (PEER, True, False),
        (PEER, False, False),
        (replace(PEER, ebgp_multihop=True), True, True),
        (IBGP, True, False),
        (IBGP, False, True),
    ],
)
def test_multihop_bfd_for_ebgp_multihop_and_distant_ibgp_peers(
    peer: Peer, neighbor: bool, multihop: bool
) -> None:
    assert [path.multihop for path in paths(peer, neighbor=neighbor)] == [multihop]


def test_the_source_address_is_the_local_end_of_the_path() -> None:
    bound = replace(PEER, session=replace(SESSION, source_address=LOCAL))
    assert list(paths(bound)) == [Path(ROUTER, LOCAL)]


def test_bgp_sessions_with_one_router_share_the_first_bfd_session() -> None:
    other = Peer(replace(SESSION, port=1790), bfd_profile="slow")
    targets = targets_for(Config(peers=(PEER, other), bfd_profiles=(FAST, SLOW)), {}, bool)

    assert targets.settings == {Path(ROUTER): settings_of(FAST)}
    assert targets.peers == {Path(ROUTER): (SESSION, other.session)}
