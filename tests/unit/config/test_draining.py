"""Draining pools, as values and as text."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
from support.kube.config_text import calls
from support.kube.objects import pool, selector

from metallb_py.config.draining import (
    configured_name,
    decode_pools,
    drain,
    draining,
    encode_pools,
    pool_name,
)
from metallb_py.config.problems import ConfigError
from metallb_py.model.config import BgpAdvertisement, Pool, Protocol
from metallb_py.model.route_attributes import Community, RouteAttributes

BGP = Pool(
    name="blue",
    protocol=Protocol.BGP,
    cidrs=(ip_network("10.0.0.0/25"), ip_network("10.0.0.128/31"), ip_network("2001:db8::/64")),
    avoid_buggy_ips=True,
    bgp_advertisements=(BgpAdvertisement(25, 64, RouteAttributes(100, frozenset({Community(7)}))),),
)


def test_draining_pool_keeps_its_settings_but_is_not_auto_assigned() -> None:
    made = draining(BGP)
    assert made.draining
    assert not made.auto_assign
    assert made.contains(ip_network("10.0.0.0/25")[0])
    assert not made.avoid_buggy_ips, "a service keeps its buggy address"
    assert made.bgp_advertisements == BGP.bgp_advertisements
    assert configured_name(made.name) == "blue" != made.name
    assert draining(made) == made


def test_encoded_draining_pools_decode_to_the_same() -> None:
    wire = replace(
        pool("wire", "192.0.2.0/30"),
        interfaces=("eth0", "bond.*"),
        node_selectors=(selector(rack="1", zone="a"), selector()),
    )
    full = BgpAdvertisement(
        24,
        attributes=RouteAttributes(
            large_communities=frozenset({(64512, 2, 3), (64512, 1, 1)}), med=0, as_path_prepend=3
        ),
        weight_by_endpoints=True,
        peers=frozenset({"tor-1", "10.0.0.9"}),
        node_selectors=(selector(rack="1"),),
    )
    routed = replace(BGP, name="red", bgp_advertisements=(BgpAdvertisement(), full))
    pools = (draining(BGP), draining(wire), draining(routed))
    assert decode_pools(encode_pools(pools)) == pools


def test_stored_form_of_an_advertisement_is_flat_and_omits_defaults() -> None:
    """Text that another release wrote must stay readable."""
    full = {
        "aggregation_length": 25,
        "aggregation_length_v6": 64,
        "local_pref": 100,
        "communities": [7, 0xFFFFFF01],
        "large_communities": [[64512, 1, 1], [64512, 2, 3]],
        "med": 0,
        "as_path_prepend": 3,
        "weight_by_endpoints": True,
        "peers": ["10.0.0.9", "tor-1"],
        "node_selectors": [[{"key": "rack", "operator": "In", "values": ["1"]}]],
    }
    least = {
        "aggregation_length": 32,
        "aggregation_length_v6": 128,
        "local_pref": 0,
        "communities": [],
    }
    record = {"name": "blue", "protocol": "bgp", "cidrs": ["10.0.0.0/25"]}
    stored = json.dumps([{**record, "advertisements": [full, least]}])
    (pool,) = decode_pools(stored)
    attributes = RouteAttributes(
        100,
        frozenset({Community(7), Community(0xFFFFFF01)}),
        frozenset({(64512, 1, 1), (64512, 2, 3)}),
        med=0,
        as_path_prepend=3,
    )
    peers, racks = frozenset({"tor-1", "10.0.0.9"}), (selector(rack="1"),)
    assert pool.bgp_advertisements == (
        BgpAdvertisement(25, 64, attributes, True, peers, racks),
        BgpAdvertisement(),
    )
    assert encode_pools([pool]) == stored


def test_draining_pools_of_one_name_get_distinct_names() -> None:
    pools = drain([BGP, pool("blue", "192.0.2.0/30")])
    assert len({made.name for made in pools}) == 2
    assert {configured_name(made.name) for made in pools} == {"blue"}
    assert decode_pools(encode_pools(pools)) == pools


ENDINGS = ("", " (draining)", " (draining 2)", " (draining 12)", " (configured)", " (draining )")
NAMES = sorted({f"x{a}{b}{c}" for a in ENDINGS for b in ENDINGS for c in ENDINGS})


def test_configured_pool_name_never_equals_a_draining_pools_name() -> None:
    configured = [replace(pool("x", "192.0.2.0/30"), name=pool_name(name)) for name in NAMES]
    drains = drain([*configured, *configured])
    names = [made.name for made in (*configured, *drains)]
    assert len(set(names)) == 3 * len(NAMES)
    assert list(map(configured_name, names)) == 3 * NAMES
    assert decode_pools(encode_pools(drains)) == drains


@pytest.mark.parametrize("name", ["", "x", "x (configured)", "(draining)", "x (draining)y"])
def test_name_unlike_a_draining_pools_name_is_unchanged(name: str) -> None:
    assert pool_name(name) == configured_name(name) == name


def test_no_draining_pools_encode_as_empty_text() -> None:
    assert encode_pools(()) == ""
    assert decode_pools("") == ()


WRITTEN = encode_pools([BGP])


def changed(**values: object) -> str:
    """Return the text of a pool, with other values in its advertisement."""
    (pool,) = json.loads(WRITTEN)
    pool["advertisements"][0].update(values)
    return json.dumps([pool])


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "{}",
        "null",
        "[1]",
        '[{"name": 1}]',
        WRITTEN.replace("10.0.0.0/25", "10.0.0.0/99"),
        WRITTEN.replace("10.0.0.0/25", "1" * 10_000),
        WRITTEN.replace("10.0.0.0/25", "\\ud800"),
        WRITTEN[:-1],
        "[" * 8_000,
        "[" * 8_000 + "]" * 8_000,
        f'[{{"other": {"[" * 8_000}{"]" * 8_000}}}]',
        f'[{{"name": {"[" * 100_000}',
        WRITTEN + " " * (16 << 20),
        '"\ud800"',
        "\0",
        "1e999999",
        "9" * 100_000,
        json.dumps([{**json.loads(WRITTEN)[0], "cidrs": []}]),
        json.dumps([{**json.loads(WRITTEN)[0], "cidrs": ["10.0.0.0/32"] * 100_001}]),
        changed(aggregation_length=33),
        changed(aggregation_length=-1),
        changed(aggregation_length_v6=129),
        changed(aggregation_length_v6=10**30),
        changed(local_pref=2**32),
        changed(communities=[-1]),
        changed(communities=[2**32]),
        changed(large_communities=[[1, 2]]),
        changed(large_communities=[[1, 2, 2**32]]),
        changed(med=-1),
        changed(as_path_prepend=10**9),
        changed(weight_by_endpoints=1),
        changed(peers=[None]),
        changed(node_selectors=[[{"key": "a", "operator": "Like", "values": []}]]),
    ],
    ids=lambda text: f"{text[:30]} {len(text)}",
)
def test_foreign_draining_text_is_reported_as_one_problem(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        decode_pools(text)
    (problem,) = error.value.problems
    assert problem.path == "draining-pools"
    assert "want" in problem.message
    assert str(problem).isprintable()
    assert len(str(problem)) < 1000


def test_many_pools_of_one_name_are_numbered_without_recounting() -> None:
    (record,) = json.loads(WRITTEN)
    few, many = (json.dumps([record] * number) for number in (200, 400))
    assert calls(lambda: decode_pools(many)) < 2.2 * calls(lambda: decode_pools(few))
    pools = decode_pools(many)
    assert len({pool.name for pool in pools}) == 400
    assert pools[-1].name == f"{record['name']} (draining 400)"
