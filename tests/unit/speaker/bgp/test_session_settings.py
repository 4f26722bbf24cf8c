from __future__ import annotations

from ipaddress import ip_address

import pytest

from metallb_py.config.model import AddressFamily, DynamicAsn, Origin
from metallb_py.protocols.bgp import attributes, codes
from metallb_py.protocols.bgp.negotiation import Dynamic, Settings
from speaker.bgp.peering import PeerSession
from speaker.bgp.session_settings import settings_for

PEER = ip_address("10.0.0.1")


def test_a_plain_peer() -> None:
    assert settings_for(PeerSession(64512, 64513, PEER), "node") == Settings(
        64512, 64513, hostname="node"
    )


def test_everything_that_may_be_set() -> None:
    peer = PeerSession(
        64512,
        0,
        PEER,
        hold_time=30,
        keepalive_time=5,
        connect_time=7,
        dynamic_asn=DynamicAsn.INTERNAL,
        origin=Origin.EGP,
        address_families=frozenset({AddressFamily.IPV6}),
        next_hops=(PEER,),
        graceful_restart=True,
    )

    assert settings_for(peer, "node") == Settings(
        64512,
        None,
        30,
        5,
        7,
        Dynamic.INTERNAL,
        attributes.Origin.EGP,
        frozenset({codes.AddressFamily.IPV6}),
        (PEER,),
        120,
        "node",
    )


@pytest.mark.parametrize("origin", Origin)
def test_origins_are_called_alike(origin: Origin) -> None:
    settings = settings_for(PeerSession(1, 2, PEER, origin=origin), "node")

    assert settings.origin.name == origin.name


@pytest.mark.parametrize("family", AddressFamily)
def test_families_are_called_alike(family: AddressFamily) -> None:
    peer = PeerSession(1, 2, PEER, address_families=frozenset({family}))

    assert {each.name for each in settings_for(peer, "node").families} == {family.name}


@pytest.mark.parametrize("dynamic", DynamicAsn)
def test_dynamic_kinds_are_called_alike(dynamic: DynamicAsn) -> None:
    settings = settings_for(PeerSession(1, 0, PEER, dynamic_asn=dynamic), "node")

    assert settings.dynamic is not None
    assert settings.dynamic.name == dynamic.name
