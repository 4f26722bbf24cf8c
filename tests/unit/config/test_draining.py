"""Pools that drain, as values and as text."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from support.objects import pool, selector

from metallb_py.config.draining import (
    configured_name,
    decode_pools,
    drain,
    draining,
    encode_pools,
)
from metallb_py.config.model import BgpAdvertisement, Community, Pool, Protocol
from metallb_py.config.problems import ConfigError

BGP = Pool(
    name="blue",
    protocol=Protocol.BGP,
    cidrs=(ip_network("10.0.0.0/25"), ip_network("10.0.0.128/31"), ip_network("2001:db8::/64")),
    avoid_buggy_ips=True,
    bgp_advertisements=(BgpAdvertisement(25, 64, 100, frozenset({Community(7)})),),
)


def test_a_pool_that_drains_keeps_its_settings_but_gives_nothing_out() -> None:
    made = draining(BGP)
    assert made.draining
    assert not made.auto_assign
    assert made.allocatable(ip_network("10.0.0.0/25")[0]), "who has a buggy address may keep it"
    assert made.bgp_advertisements == BGP.bgp_advertisements
    assert configured_name(made.name) == "blue" != made.name
    assert draining(made) == made


def test_text_tells_everything() -> None:
    wire = replace(
        pool("wire", "192.0.2.0/30"),
        interfaces=("eth0", "bond.*"),
        node_selectors=(selector(rack="1", zone="a"), selector()),
    )
    told = BgpAdvertisement(
        24,
        large_communities=frozenset({(64512, 2, 3), (64512, 1, 1)}),
        med=0,
        as_path_prepend=3,
        weight_by_endpoints=True,
        peers=frozenset({"tor-1", "10.0.0.9"}),
        node_selectors=(selector(rack="1"),),
    )
    routed = replace(BGP, name="red", bgp_advertisements=(BgpAdvertisement(), told))
    pools = (draining(BGP), draining(wire), draining(routed))
    assert decode_pools(encode_pools(pools)) == pools


def test_two_pools_that_had_one_name_drain_under_two() -> None:
    pools = drain([BGP, pool("blue", "192.0.2.0/30")])
    assert len({made.name for made in pools}) == 2
    assert {configured_name(made.name) for made in pools} == {"blue"}
    assert decode_pools(encode_pools(pools)) == pools


def test_nothing_drains() -> None:
    assert encode_pools(()) == ""
    assert decode_pools("") == ()


@pytest.mark.parametrize(
    "text", ["x", "{}", '[{"name": 1}]', encode_pools([BGP]).replace("10.0.0.0/25", "10.0.0.0/99")]
)
def test_a_text_that_we_did_not_write_is_a_problem(text: str) -> None:
    with pytest.raises(ConfigError, match="draining-pools"):
        decode_pools(text)
