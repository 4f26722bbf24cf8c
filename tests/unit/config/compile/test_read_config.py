"""Whole configurations: the resulting model, and every problem reported."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from textwrap import dedent

import pytest
from support.kube.config_text import PEER, POOL, problems

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError
from metallb_py.model.config import BgpAdvertisement, Config, Pool, Protocol
from metallb_py.model.peers import Peer, SessionParameters
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.model.selectors import LabelSelector, Operator, Requirement


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "{}", "null", "peers:\naddress-pools: []"])
def test_empty_text_is_a_valid_configuration(text: str) -> None:
    assert read_config(text) == Config()


def test_layer2_pool_is_read() -> None:
    config = read_config(
        dedent("""\
        address-pools:
        - name: default
          protocol: layer2
          addresses:
          - 192.168.1.240-192.168.1.243
          - 192.168.9.7/24
          - 2001:db8::/120
        """)
    )
    assert config.pools == (
        Pool(
            name="default",
            protocol=Protocol.LAYER2,
            cidrs=(
                ip_network("192.168.1.240/30"),
                ip_network("192.168.9.0/24"),
                ip_network("2001:db8::/120"),
            ),
        ),
    )


def test_all_bgp_keys_are_read() -> None:
    config = read_config(
        dedent("""\
        bgp-communities:
          no-advertise: 65535:65282
        bfd-profiles:
        - {name: fast, receive-interval: 50, detect-multiplier: 3, echo-mode: yes}
        peers:
        - peer-address: 10.0.0.1
          peer-asn: 4200000000
          my-asn: 64500
          hold-time: 1m30s
          keepalive-time: 10s
          peer-port: 1790
          router-id: 10.9.9.9
          source-address: 10.0.0.5
          password: 0123
          bfd-profile: fast
          ebgp-multihop: true
          node-selectors:
          - match-labels: {rack: "1"}
            match-expressions:
            - {key: zone, operator: NotIn, values: [no, 1]}
          - {}
        address-pools:
        - name: 123
          protocol: bgp
          avoid-buggy-ips: true
          auto-assign: false
          addresses: [198.51.100.0/24]
          bgp-advertisements:
          - localpref: 100
            communities: [no-advertise, 64512:1]
          - {aggregation-length: 24, aggregation-length-v6: 64}
        """)
    )
    (peer,) = config.peers
    assert peer == Peer(
        SessionParameters(
            local_asn=64500,
            peer_asn=4200000000,
            address=ip_address("10.0.0.1"),
            port=1790,
            hold_time=90,
            keepalive_time=10,
            router_id=ip_address("10.9.9.9"),
            source_address=ip_address("10.0.0.5"),
            password="0123",
        ),
        ebgp_multihop=True,
        bfd_profile="fast",
        node_selectors=(
            LabelSelector(
                frozenset(
                    {
                        Requirement("rack", Operator.IN, frozenset({"1"})),
                        Requirement("zone", Operator.NOT_IN, frozenset({"no", "1"})),
                    }
                )
            ),
            LabelSelector(),
        ),
    )
    assert "0123" not in repr(config)
    (pool,) = config.pools
    assert pool.name == "123"
    assert not pool.auto_assign
    assert pool.avoid_buggy_ips
    assert pool.bgp_advertisements == (
        BgpAdvertisement(
            attributes=RouteAttributes(
                local_pref=100,
                communities=frozenset({Community(0xFFFFFF02), Community(64512 << 16 | 1)}),
            )
        ),
        BgpAdvertisement(aggregation_length=24, aggregation_length_v6=64),
    )
    assert config.bfd_profiles[0].receive_interval == 50
    assert config.bfd_profiles[0].echo_mode
    assert config.bfd_profiles[0].transmit_interval is None


def test_defaults_of_peer_and_advertisement_are_metallbs() -> None:
    config = read_config(
        "peers: [{peer-address: 10.0.0.1, peer-asn: 1, my-asn: 2, peer-port: 0}]\n"
        "address-pools: [{name: a, protocol: bgp, addresses: [10.1.0.0/16]}]"
    )
    (peer,) = config.peers
    session = peer.session
    assert (session.port, session.hold_time, session.keepalive_time) == (179, 90, None)
    assert peer.selects({})
    assert config.pools[0].bgp_advertisements == (BgpAdvertisement(),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"peers: [{{{PEER}}}, {{{PEER}}}]", "peer #2 already exists"),
        (f"address-pools: [{{{POOL}}}, {{{POOL}}}]", 'duplicate definition of pool "a"'),
        ("bfd-profiles: [{name: a}, {name: a}]", "found duplicate bfd profile name a"),
        ("bgp-communities: {a: 1:1, a: 1:2}", 'key "a" already set in map'),
        ("bgp-communities: {a: x}", 'parsing community "a": invalid community string "x"'),
        ("adress-pools: []", "field adress-pools not found in type config.configFile"),
        ("peers: {}", "cannot unmarshal !!map into []config.peer"),
        ("[]", "cannot unmarshal !!seq into config.configFile"),
    ],
)
def test_invalid_configuration_is_reported(text: str, expected: str) -> None:
    assert expected in problems(text)[0][2]


def test_options_of_metallbs_native_and_frr_modes_can_be_combined() -> None:
    bfd = f"{{{PEER}, bfd-profile: b, keepalive-time: 5s}}"
    text = (
        f"bfd-profiles: [{{name: b}}]\n"
        f"peers: [{bfd}, {{my-asn: 9, peer-asn: 8, peer-address: 10.0.0.2, router-id: 1.1.1.1}}]\n"
        "address-pools: [{name: six, protocol: bgp, addresses: [2001:db8::/64]}]"
    )
    assert not problems(text)


def test_all_problems_are_reported_at_once_in_line_order() -> None:
    found = problems(
        """\
        peers:
        - peer-address: router
          my-asn: abc
          passwords: hunter2
        address-pools:
        - name: blue
          addresses:
          - 10.0.0.0/33
          - 10.0.0.0/8
        - name: blue
          protocol: layer3
          addresses: [10.1.2.0/24]
        """
    )
    assert [line for line, _, _ in found] == [2, 2, 3, 4, 6, 8, 10, 11, 12]
    assert found[5][1] == 'address-pools[0] "blue".addresses[0]'
    assert "hunter2" not in str(found)


def test_line_numbers_are_those_of_the_source_file() -> None:
    with pytest.raises(ConfigError) as error:
        read_config("peers: 1\n", first_line=7)
    assert [problem.line for problem in error.value.problems] == [7]
    assert str(error.value).startswith("peers, line 7: ")


@pytest.mark.parametrize(
    "text",
    [
        "peers: [hunter2]",
        "peers:\n- password: [hunter2]",
        "peers:\n- {my-asn: x, password: hunter2}",
        "peers:\n- password: 'hunter2",
        "peers:\n- password: hunter2: x",
        "peers: [{node-selectors: [{match-labels: {password: hunter2!}}]}]",
        "peers: [{node-selectors: [{match-labels: {password: [hunter2]}}]}]",
        "peers: [{node-selectors: [{match-labels: {password: a,b hunter2: [x]}}]}]",
        "peers: [{node-selectors: [{match-labels: {password: a, hunter2!}}]}]",
    ],
)
def test_password_is_never_printed(text: str) -> None:
    assert problems(text)
    assert "hunter2" not in str(problems(text))
