"""What speakers tell each other of their interfaces."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.objects import pool

from speaker.layer2.wires import (
    MAX_TEXT,
    Wire,
    decode,
    encode,
    has_interface_for,
    reached,
    subnets_for,
)

ETH0 = Wire("eth0", "02:00:00:00:00:01", (ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")))
ETH1 = Wire("eth1", "02:00:00:00:00:02")


def test_text_tells_everything() -> None:
    text = encode((ETH1, ETH0))
    assert text == (
        '{"eth0":{"mac":"02:00:00:00:00:01","subnets":["192.0.2.0/24","2001:db8::/64"]},'
        '"eth1":{"mac":"02:00:00:00:00:02","subnets":[]}}'
    )
    assert decode(text) == (ETH0, ETH1)


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", '{"eth0": 1}', '{"eth0":{"mac":"x","subnets":["y"]}}', " " * MAX_TEXT + "{}"],
)
def test_anything_else_says_nothing(text: str) -> None:
    assert decode(text) is None


def test_what_a_pool_reaches() -> None:
    addresses = (ip_address("192.0.2.9"), ip_address("2001:db8::9"), ip_address("203.0.113.9"))
    anywhere = pool("a", "192.0.2.0/24")
    assert subnets_for((ETH0, ETH1), anywhere) == frozenset(ETH0.subnets)
    assert subnets_for((ETH0,), replace(anywhere, interfaces=("eth1",))) == frozenset()
    assert reached(ETH0.subnets, addresses) == 2
    assert has_interface_for((ETH0,), anywhere)
    assert not has_interface_for((), anywhere)
