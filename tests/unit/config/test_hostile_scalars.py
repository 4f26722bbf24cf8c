"""Hostile values, one in each field: rejected with place, value found and value wanted."""

from __future__ import annotations

import pytest

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError, Problem
from metallb_py.config.yaml.schema import SCHEMA

PEER = {"my-asn": "64500", "peer-asn": "64501", "peer-address": "10.0.0.1"}
POOL = {"name": "a", "protocol": "bgp", "addresses": "[10.0.0.0/24]"}
PROFILE = {"name": "a"}
BASES = {
    "peers": (PEER, "peer"),
    "address-pools": (POOL, "addressPool"),
    "bfd-profiles": (PROFILE, "bfdProfile"),
}

SCALARS = [
    *("1.10", "'1.10'", "-1", "1e99", ".nan", "0x1_0000_0000_0", "65536", "4294967296", "true"),
    *("''", "' '", "x y", "\"a\\0b\"", "\"\\e[31m\"", "\"\\u202e\"", "'é'", "9" * 500, "a" * 500),
    *("224.0.0.1", "255.255.255.255", "0.0.0.0", "'::'", "'ff02::1'", "'::ffff:10.0.0.1'"),
    *("10.0.0.1/33", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "'fe80::1%eth0'", "' 10.0.0.1'"),
    *("1h1", "1s", "-5s", "99999999999999h", "!!binary x", "!!int x", "2026-11-28", "{}", "[]"),
    *("[x]", "{x: y}", "[[]]", "[{}]", "[1.5, -1]", "[224.0.0.0/4]", "[10.0.0.0-9]", "['a[']"),
]  # fmt: skip


def problems(text: str) -> tuple[Problem, ...]:
    try:
        read_config(text)
    except ConfigError as error:
        return error.problems
    return ()


def text_of(top: str, fields: dict[str, str]) -> str:
    (first, *rest) = [f"{key}: {value}" for key, value in fields.items()]
    return "\n".join([f"{top}:", f"- {first}", *(f"  {line}" for line in rest)])


@pytest.mark.parametrize(
    ("top", "key"), [(top, key) for top, (_, kind) in BASES.items() for key in SCHEMA[kind]]
)
def test_error_has_the_place_the_value_found_and_the_value_wanted(top: str, key: str) -> None:
    base, _ = BASES[top]
    rejected = 0
    for scalar in SCALARS:
        fields = {name: value for name, value in base.items() if name != key} | {key: scalar}
        found = problems(text_of(top, fields))
        rejected += bool(found)
        for problem in found:
            message = str(problem)
            assert 1 <= problem.line <= len(fields) + 1, message
            assert problem.path.startswith(f"{top}[0]"), message
            assert "want" in problem.message or "must be" in problem.message, message
            assert message.isprintable()
            assert len(message) < 1500
    assert rejected


BAD_PEERS = [
    ({"my-asn": "1.10"}, "my-asn", "!!float `1.10`", "AS 1.10 in asdot notation is 65546"),
    ({"peer-asn": "'1.10'"}, "peer-asn", "!!str `1.10`", "AS 1.10 in asdot notation is 65546"),
    ({"my-asn": "64512.5"}, "my-asn", "`64512.5`", "want a whole number"),
    ({"peer-port": "179.5"}, "peer-port", "`179.5`", "a whole number from 0 to 65535"),
    ({"peer-port": "65536"}, "peer-port", "`65536`", "a whole number from 0 to 65535"),
    ({"hold-time": "90"}, "hold-time", '"90"', 'want one as in "90s"'),
    ({"hold-time": "1s"}, "hold-time", '"1s"', "must be 0 or >=3s"),
    ({"password": "x" * 81}, "password", "81 bytes", "want at most 80"),
    ({"password": "é" * 41}, "password", "82 bytes", "want at most 80"),
    (
        {"source-address": "fd00::1"},
        "source-address",
        '"fd00::1"',
        'that of peer-address "10.0.0.1"',
    ),
    (
        {"peer-address": "fd00::1", "source-address": "10.0.0.1"},
        "source-address",
        '"10.0.0.1"',
        "want an IPv6 address",
    ),
    ({"source-address": "0.0.0.0"}, "source-address", '"0.0.0.0": unspecified', "want the address"),
    ({"router-id": "0.0.0.0"}, "router-id", '"0.0.0.0"', "want an IPv4 address, and not 0.0.0.0"),
    ({"router-id": "fd00::1"}, "router-id", '"fd00::1"', "want an IPv4 address"),
    ({"peer-address": "224.0.0.5"}, "peer-address", "multicast", "want the address of a host"),
    (
        {"peer-address": "255.255.255.255"},
        "peer-address",
        "broadcast",
        "want the address of a host",
    ),
    ({"peer-address": "0.0.0.0"}, "peer-address", "unspecified", "want the address of a host"),
    ({"peer-address": "'::'"}, "peer-address", "unspecified", "want the address of a host"),
    ({"peer-address": "ff02::1"}, "peer-address", "multicast", "want the address of a host"),
    ({"peer-address": "'::ffff:224.0.0.5'"}, "peer-address", "multicast", "want the address of a"),
    ({"peer-address": "fe80::1%eth0"}, "peer-address", '"fe80::1%eth0"', "want an IPv4 or IPv6"),
    ({"peer-address": "10.0.0.1/32"}, "peer-address", '"10.0.0.1/32"', "want an IPv4 or IPv6"),
    (
        {"peer-address": "router.example"},
        "peer-address",
        '"router.example"',
        "want an IPv4 or IPv6",
    ),
    (
        {"next-hop": "'::1'"},
        "next-hop",
        '"::1": loopback',
        "want the address of a router or a node",
    ),
    ({"next-hop": "127.0.0.1"}, "next-hop", "loopback", "want the address of a router or a node"),
    ({"next-hop": "ff02::1"}, "next-hop", "multicast", "want the address of a router or a node"),
    ({"next-hop": "255.255.255.255"}, "next-hop", "broadcast", "want the address of a router"),
    ({"next-hop": "fe80::1"}, "next-hop", '"fe80::1": link-local', "want a global IPv6 address"),
]


@pytest.mark.parametrize(
    ("fields", "key", "found", "wanted"), BAD_PEERS, ids=[f"{k} {f}" for _, k, f, _ in BAD_PEERS]
)
def test_peer_that_cannot_work_is_rejected(
    fields: dict[str, str], key: str, found: str, wanted: str
) -> None:
    (problem,) = problems(text_of("peers", PEER | fields))
    assert problem.path.startswith(f'peers[0] "{(PEER | fields)["peer-address"]}'.replace("'", ""))
    assert problem.path.endswith(key)
    assert found in problem.message
    assert wanted in problem.message
    assert "xxxx" not in problem.message


@pytest.mark.parametrize(
    "fields",
    [
        {"my-asn": "64512.0", "peer-asn": "6.4512e4"},
        {"password": "x" * 80},
        {"password": "é" * 40},
        {"router-id": "10.0.0.1"},
        {"source-address": "127.0.0.2", "peer-address": "127.0.0.1"},
        {"peer-address": "fd00::1", "source-address": "fd00::2"},
        {"peer-address": "'::ffff:10.0.0.1'", "source-address": "10.0.0.2"},
        {"peer-address": "010.000.0.01"},
        {"peer-address": "240.0.0.1"},
        {"hold-time": "500ms"},
        {"peer-port": "0"},
    ],
    ids=str,
)
def test_peer_valid_in_metallb_is_valid(fields: dict[str, str]) -> None:
    assert problems(text_of("peers", PEER | fields)) == ()


BAD_ADDRESSES = [
    ("224.0.0.0/4", "224.0.0.0/4 is multicast"),
    ("239.1.1.1-239.1.1.9", "224.0.0.0/4 is multicast"),
    ("255.255.255.255/32", "255.255.255.255/32 is broadcast"),
    ("0.0.0.0/8", '0.0.0.0/8 is "this network"'),
    ("0.0.0.0/32", '0.0.0.0/8 is "this network"'),
    ("127.0.0.1/32", "127.0.0.0/8 is loopback"),
    ("ff00::/8", "ff00::/8 is multicast"),
    ("ff02::1-ff02::9", "ff00::/8 is multicast"),
    ("::/128", "::/128 is unspecified"),
    ("::1/128", "::1/128 is loopback"),
    ("::ffff:224.0.0.0/100", "224.0.0.0/4 is multicast"),
    ("fe80::/64", "fe80::/10 is link-local"),
    ("0.0.0.0/0", "it contains 0.0.0.0/8"),
    ("0.0.0.0-255.255.255.255", "it contains 0.0.0.0/8"),
    ("::/0", "it contains ::/128"),
    ("223.255.255.0-224.0.0.9", "224.0.0.0/4 is multicast"),
    ("10.0.0.9-10.0.0.1", "want the lower one first"),
    ("10.0.0.1-fd00::1", "want both of one"),
    ("10.0.0.0/24-10.0.0.255", 'want two addresses without a prefix length or zone, as in "10.0'),
    ("fe80::1%eth0-fe80::9", "want two addresses without a prefix length or zone"),
    ("10.0.0.1-9", "want two addresses"),
    ("-", "want two addresses"),
    ("10.0.0.1", 'want an address, "/" and a prefix length'),
    ("10.0.0.0/255.255.255.0", "want a prefix length up to 32"),
    (" 10.0.0.0/24", "want an IPv4 or IPv6 address"),
    ("10.0.0.0/24 ", "want a prefix length up to 32"),
    ("fe80::1%eth0/64", "want an IPv4 or IPv6 address"),
    ("10.0.0.0/-1", "want two addresses"),
    ("10.0.0.256/24", "want an IPv4 or IPv6 address"),
]


@pytest.mark.parametrize(("block", "expected"), BAD_ADDRESSES, ids=[b for b, _ in BAD_ADDRESSES])
def test_addresses_unusable_for_services_are_rejected(block: str, expected: str) -> None:
    found = problems(text_of("address-pools", POOL | {"addresses": f"['{block}']"}))
    (problem,) = (one for one in found if expected in one.message)
    assert problem.path == 'address-pools[0] "a".addresses[0]'
    assert f'"{block}"' in problem.message
    assert "want" in problem.message


@pytest.mark.parametrize(
    "fields",
    [
        {"addresses": "[192.168.1.10/24]"},
        {"addresses": "[192.168.001.010/32]"},
        {"addresses": "['10.0.0.1 - 10.0.0.9']"},
        {"addresses": "[169.254.1.0/24, 240.0.0.0/24, 100.64.0.0/24, 2001:db8::/64]"},
        {"addresses": "[fe80::/64]", "protocol": "layer2"},
        {"addresses": "[0.0.0.0/0, '::/0']", "auto-assign": "false"},
    ],
    ids=str,
)
def test_addresses_valid_in_metallb_are_valid(fields: dict[str, str]) -> None:
    assert problems(text_of("address-pools", POOL | fields)) == ()
