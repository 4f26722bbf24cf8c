"""MetalLB's documented ConfigMap examples, case by case, and the meaning of each."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from textwrap import dedent

from support.kube.config_text import problems

from controller.pool_table import PoolTable
from metallb_py.config.communities import parse_community
from metallb_py.config.compile.read_config import read_config
from metallb_py.model.config import BgpAdvertisement, Config, Protocol
from metallb_py.model.route_attributes import RouteAttributes


def read(text: str) -> Config:
    return read_config(dedent(text))


def test_layer2_pool_with_a_range() -> None:
    (pool,) = read("""
        address-pools:
        - name: house
          protocol: layer2
          addresses:
          - 10.7.0.100-10.7.0.103
    """).pools
    assert pool.protocol is Protocol.LAYER2
    assert pool.auto_assign
    assert pool.cidrs == (ip_network("10.7.0.100/30"),)


def test_bgp_pool_with_one_router() -> None:
    config = read("""
        peers:
        - peer-address: 10.7.0.1
          peer-asn: 65010
          my-asn: 65011
        address-pools:
        - name: routed
          protocol: bgp
          addresses: [203.0.113.0/26]
    """)
    (peer,) = config.peers
    session = peer.session
    assert (session.address, session.port) == (ip_address("10.7.0.1"), 179)
    assert (session.peer_asn, session.local_asn, session.hold_time) == (65010, 65011, 90)
    assert config.pools[0].bgp_advertisements == (BgpAdvertisement(),)


def test_aggregate_for_all_and_host_routes_with_no_advertise() -> None:
    (pool,) = read("""
        address-pools:
        - name: routed
          protocol: bgp
          addresses: [203.0.113.0/24]
          bgp-advertisements:
          - aggregation-length: 32
            localpref: 150
            communities: [stay-here]
          - aggregation-length: 24
        bgp-communities:
          stay-here: 65535:65282
    """).pools
    near, far = pool.bgp_advertisements
    assert (near.aggregation_length, near.attributes.local_pref) == (32, 150)
    assert near.attributes.communities == {parse_community("65535:65282")}
    assert (far.aggregation_length, far.attributes) == (24, RouteAttributes())


def test_aggregate_wider_than_the_pool_is_rejected() -> None:
    ((line, _, message),) = problems("""
        address-pools:
        - name: routed
          protocol: bgp
          addresses: [203.0.113.0/28]
          bgp-advertisements:
          - aggregation-length: 24
    """)
    assert "more specific than the aggregation length" in message
    assert line == 7


def test_peer_node_selectors_restrict_the_session_to_some_nodes() -> None:
    (peer,) = read("""
        peers:
        - peer-address: 10.7.0.1
          peer-asn: 65010
          my-asn: 65011
          node-selectors:
          - match-labels: {row: "3"}
          - match-expressions:
            - {key: kubernetes.io/hostname, operator: In, values: [left, right]}
    """).peers
    assert peer.selects({"row": "3"})
    assert peer.selects({"kubernetes.io/hostname": "right"})
    assert not peer.selects({"row": "4", "kubernetes.io/hostname": "middle"})


def test_peer_with_a_bfd_profile() -> None:
    config = read("""
        bfd-profiles:
        - name: quick
          receive-interval: 120
          transmit-interval: 130
          detect-multiplier: 4
          echo-interval: 60
          echo-mode: true
          passive-mode: true
          minimum-ttl: 250
        peers:
        - {peer-address: 10.7.0.1, peer-asn: 65010, my-asn: 65011, bfd-profile: quick}
    """)
    (profile,) = config.bfd_profiles
    assert config.peers[0].bfd_profile == profile.name == "quick"
    assert (profile.receive_interval, profile.transmit_interval) == (120, 130)
    assert (profile.detect_multiplier, profile.echo_interval) == (4, 60)
    assert (profile.echo_mode, profile.passive_mode, profile.minimum_ttl) == (True, True, 250)


def test_auto_assign_false_reserves_a_pool_for_explicit_requests() -> None:
    cheap, dear = read("""
        address-pools:
        - name: cheap
          protocol: bgp
          addresses: [10.80.0.0/16]
        - name: dear
          protocol: bgp
          addresses: [203.0.113.8/30]
          auto-assign: false
    """).pools
    assert cheap.auto_assign
    assert not dear.auto_assign


def test_avoid_buggy_ips_excludes_addresses_ending_in_0_or_255() -> None:
    (pool,) = read("""
        address-pools:
        - name: old-routers
          protocol: bgp
          addresses: [203.0.113.0/24]
          avoid-buggy-ips: true
    """).pools
    table = PoolTable([pool])
    assert table.owner([ip_address("203.0.113.0")]) is None
    assert table.owner([ip_address("203.0.113.255")]) is None
    assert table.owner([ip_address("203.0.113.1")]) == pool


def test_dual_stack_pool() -> None:
    (pool,) = read("""
        address-pools:
        - name: both
          protocol: layer2
          addresses: [10.7.0.64/27, "2001:db8:7::/112"]
    """).pools
    assert [cidr.version for cidr in pool.cidrs] == [4, 6]
    assert pool.contains(ip_address("2001:db8:7::ffff"))


def test_peer_with_password_hold_time_and_source_address() -> None:
    (peer,) = read("""
        peers:
        - peer-address: 2001:db8:7::1
          peer-asn: 4200000001
          my-asn: 4200000001
          peer-port: 1790
          source-address: 2001:db8:7::9
          hold-time: 2m
          router-id: 10.7.0.9
          password: "s3cret"
    """).peers
    session = peer.session
    assert (session.port, session.hold_time) == (1790, 120)
    assert session.source_address == ip_address("2001:db8:7::9")
    assert session.router_id == ip_address("10.7.0.9")
    assert session.password == "s3cret"
    assert "s3cret" not in repr(peer)
