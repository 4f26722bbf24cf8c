"""Interfaces that speakers publish: as an annotation, and as memberlist metadata."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.kube.objects import pool

from speaker.layer2.topology import (
    MAGIC,
    MAX_META,
    MAX_TEXT,
    NodeInterface,
    decode,
    encode,
    has_interface_for,
    pack,
    reached,
    subnets_for,
    unpack,
)

ETH0 = NodeInterface(
    "eth0",
    "02:00:00:00:00:01",
    (ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")),
    (ip_address("192.0.2.1"), ip_address("2001:db8::1")),
)
ETH1 = NodeInterface("eth1", "02:00:00:00:00:02")


def test_the_annotation_contains_interfaces_and_subnets() -> None:
    text = encode((ETH1, ETH0))
    assert text == (
        '{"eth0":{"mac":"02:00:00:00:00:01","subnets":["192.0.2.0/24","2001:db8::/64"]},'
        '"eth1":{"mac":"02:00:00:00:00:02","subnets":[]}}'
    )
    assert decode(text) == (replace(ETH0, addresses=()), ETH1)


def test_addresses_in_an_annotation_are_ignored() -> None:
    text = '{"eth0":{"mac":"02:00:00:00:00:01","subnets":[],"addresses":["192.0.2.1"]}}'
    assert decode(text) == (NodeInterface("eth0", "02:00:00:00:00:01"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        '{"eth0": 1}',
        '{"eth0":{"mac":"x","subnets":["y"]}}',
        " " * MAX_TEXT + "{}",
        "[" * MAX_TEXT,
        '{"a":' * (MAX_TEXT // 5),
        '{"eth0":{"mac":"x","subnets":[],"more":' + "[" * 9_000 + "]" * 6_000 + "}}",
        '{"eth0\\u202e":{"mac":"x","subnets":[]}}',
        '{"a name that is too long":{"mac":"x","subnets":[]}}',
    ],
)
def test_an_invalid_annotation_is_ignored(text: str) -> None:
    assert decode(text) is None


def test_subnets_interfaces_and_addresses_of_a_pool() -> None:
    addresses = (ip_address("192.0.2.9"), ip_address("2001:db8::9"), ip_address("203.0.113.9"))
    anywhere = pool("a", "192.0.2.0/24")
    assert subnets_for((ETH0, ETH1), anywhere) == frozenset(ETH0.subnets)
    assert subnets_for((ETH0,), replace(anywhere, interfaces=("eth1",))) == frozenset()
    assert reached(ETH0.subnets, addresses) == 2
    assert has_interface_for((ETH0,), anywhere)
    assert not has_interface_for((), anywhere)


def test_metadata_contains_all_fields_in_fewer_bytes() -> None:
    assert unpack(pack((ETH0, ETH1))) == (ETH0, ETH1)
    assert len(pack((ETH0, ETH1))) < len(encode((ETH0, ETH1)))


def test_a_node_without_interfaces_has_empty_metadata() -> None:
    assert pack(()) == b""


def test_metadata_beyond_the_limit_omits_addresses_or_everything() -> None:
    many = tuple(replace(ETH0, name=f"eth{n}") for n in range(20))
    assert pack(many) == b""
    few = tuple(replace(ETH0, name=f"eth{n}") for n in range(6))
    assert 0 < len(pack(few)) <= MAX_META
    assert unpack(pack(few)) == few
    some = tuple(replace(ETH0, name=f"eth{n}") for n in range(8))
    assert unpack(pack(some)) == tuple(replace(interface, addresses=()) for interface in some)


@pytest.mark.parametrize(
    "meta",
    [
        b"",
        b"\xff\x81role\x00",
        MAGIC,
        MAGIC + b"\xc1",
        MAGIC + b"\x91\x93\xa1e\xc4\x06123456\x91\xc4\x00",  # a subnet of no bytes
        MAGIC + b"\x91\x93\xa1e\xc4\x06123456\x91\xc4\x05\x21\x0a\x00\x00\x00",  # 10.0.0.0/33
        MAGIC + b"\x91\x93\xa1e\xc4\x06123456\x91\xc4\x05\x08\x0a\x00\x00\x01",  # host bits
        MAGIC + b"\x91\x93\xa1e\xc4\x0512345\x90",  # a short MAC address
        MAGIC + b"\x91\x93\xa0\xc4\x06123456\x90",  # no name
        MAGIC + b"\x91\x93\xa2e\n\xc4\x06123456\x90",  # a control character in it
        MAGIC + b"\x91\x93\xb0" + b"e" * 16 + b"\xc4\x06123456\x90",  # a long one
        MAGIC + b"\x92" + 2 * b"\x93\xa1e\xc4\x06123456\x90",  # the same twice
        MAGIC + b"\x91\x94\xa1e\xc4\x06123456\x90\x91\xc4\x03123",  # an address of 3 bytes
        MAGIC + b"\x91" * 400 + b"\x90",  # nested
    ],
)
def test_foreign_or_malformed_metadata_is_ignored(meta: bytes) -> None:
    assert unpack(meta) is None
