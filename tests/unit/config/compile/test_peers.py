"""Invalid peers, with MetalLB's error messages."""

from __future__ import annotations

import pytest
from support.kube.config_text import PEER, problems

from metallb_py.config.compile.read_config import read_config

BAD_PEERS = [
    ("peer-asn: 2, peer-address: 10.0.0.1", "missing local ASN"),
    ("my-asn: 2, peer-address: 10.0.0.1", "missing peer ASN"),
    ("my-asn: 1, peer-asn: 2", 'invalid peer IP ""'),
    ("my-asn: 1, peer-asn: 2, peer-address: router", 'invalid peer IP "router"'),
    (f"{PEER}, peer-asn: 1", "field peer-asn already set in type config.peer"),
    (f"{PEER}, hold-time: 90", 'invalid hold time "90": time: missing unit in duration "90"'),
    (f"{PEER}, hold-time: 2.9s", 'invalid hold time "2.9s": must be 0 or >=3s'),
    (f"{PEER}, hold-time: -3s", 'invalid hold time "-3s": must be 0 or >=3s'),
    (f"{PEER}, hold-time: x, keepalive-time: 24h", 'invalid hold time "x"'),
    (f"{PEER}, hold-time: 0, keepalive-time: 1s", 'invalid keepaliveTime "1s"'),
    (f"{PEER}, keepalive-time: -1s", 'invalid keepaliveTime "-1s"'),
    (f"{PEER}, keepalive-time: 500ms", 'invalid keepaliveTime "500ms": want 0, or from 1s'),
    (f"{PEER}, keepalive-time: 91s", 'invalid keepaliveTime "91s"'),
    (f"{PEER}, keepalive-time: x", 'invalid keepalive time "x": time: invalid duration "x"'),
    (f"{PEER}, router-id: x", 'invalid router ID "x"'),
    (f"{PEER}, source-address: x", 'invalid source IP "x"'),
    (f"{PEER}, bfd-profile: x", "peer #1 referencing non existing bfd profile x"),
    (
        "my-asn: 1, peer-asn: 1, peer-address: 10.0.0.1, ebgp-multihop: true",
        "invalid ebgp-multihop parameter set for an ibgp peer",
    ),
    (f"{PEER}, peer-port: 65536", "cannot unmarshal !!int `65536` into uint16"),
    (f"{PEER}, my-asn2: 1", "field my-asn2 not found in type config.peer"),
]


@pytest.mark.parametrize(("peer", "expected"), BAD_PEERS)
def test_invalid_peer_is_reported(peer: str, expected: str) -> None:
    (found,) = problems(f"peers:\n- {{{peer}}}\n")
    assert expected in found[2]
    assert found[0] == 2
    assert found[1].startswith("peers[0]")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0), ("0", 0), ("3.9s", 3), ("1m30s", 90), ("18h12m15s", 65535), ("24h", 65535)],
)
def test_hold_time_is_whole_seconds_in_two_octets(written: str, seconds: int) -> None:
    (peer,) = read_config(f"peers: [{{{PEER}, hold-time: {written}}}]").peers
    assert peer.session.hold_time == seconds


def test_peer_with_another_port_is_not_a_duplicate() -> None:
    assert not problems(f"peers: [{{{PEER}}}, {{{PEER}, peer-port: 1179}}]")


def test_peers_differing_only_in_name_are_duplicates() -> None:
    ((_, path, message),) = problems(f"peers: [{{{PEER}, name: a}}, {{{PEER}, name: b}}]")
    assert message == "peer #2 already exists: want each peer once"
    assert path == 'peers[1] "10.0.0.1"'


@pytest.mark.parametrize("other", ["my-asn: 3, local-asn: 4", "my-asn: 4"])
def test_peers_differing_only_in_my_asn_are_no_duplicates(other: str) -> None:
    address = "peer-asn: 2, peer-address: 10.0.0.1"
    text = f"peers: [{{my-asn: 1, local-asn: 4, {address}}}, {{{other}, {address}}}]"
    first, second = read_config(text).peers
    assert first == second


def test_duplicate_peer_name_is_reported() -> None:
    ((_, path, message),) = problems(
        f"peers: [{{{PEER}, name: a}}, {{{PEER}, peer-port: 1}}, {{{PEER}, peer-port: 2, name: a}}]"
    )
    assert message == 'peer #3: name "a" is that of peer #1: want another'
    assert path.endswith(".name")


def test_peer_without_address_or_asn_is_reported() -> None:
    ((_, _, message),) = problems("peers: [{my-asn: 1, peer-asn: 2, interface: ''}]")
    assert 'invalid peer IP ""' in message
    ((_, _, message),) = problems("peers: [{my-asn: 1, interface: eth0}]")
    assert "missing peer ASN" in message


def test_unparsable_bfd_profile_is_not_reported_as_missing() -> None:
    peers = f"peers: [{{{PEER}, bfd-profile: x}}]"
    assert len(problems(f"bfd-profiles: 5\n{peers}")) == 1
    assert len(problems(f"bfd-profiles: [{{name: [x]}}]\n{peers}")) == 1


def test_bfd_profiles_without_a_name_are_not_duplicates() -> None:
    assert len(problems("bfd-profiles:\n- {}\n- {}\n")) == 2


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("", "missing bfd profile name"),
        ("name: a, detect-multiplier: 1", "invalid detect multiplier value: invalid value 1, must"),
        ("name: a, receive-interval: 9", "invalid receive interval value: invalid value 9"),
        ("name: a, transmit-interval: 60001", "must be in 10-60000 range"),
        ("name: a, minimum-ttl: 255", "invalid minimum ttl value: invalid value 255"),
        ("name: a, echo-interval: 1", "invalid value 1, must be in 10-60000 range"),
    ],
)
def test_invalid_bfd_profile_is_reported(profile: str, expected: str) -> None:
    (found,) = problems(f"bfd-profiles:\n- {{{profile}}}\n")
    assert found[2].startswith("parsing bfd profile #1: ")
    assert expected in found[2]
