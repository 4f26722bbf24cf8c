"""Addresses, prefixes and ranges as parsed by Go."""

from __future__ import annotations

import itertools
import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb_py.addresses import (
    AddressFamily,
    families_of,
    go_quote_list,
    join_host_port,
    parse_address,
    parse_cidr,
    parse_range,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("010.0.0.001", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.02.001", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("::192.0.2.1", "::192.0.2.1"),
        ("00000000000000000010.0.0.0", "10.0.0.0"),
        ("2001:00000db8::00000", "2001:db8::"),
    ],
)
def test_valid_addresses_are_parsed(text: str, expected: str) -> None:
    assert parse_address(text) == ip_address(expected)


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2", "192.0.2.256", "192.0.2.1 ", "fe80::1%eth0", "router", "1.2.3.4.5",
     "\u0660.0.0.1", "1::2::3", "1:2:3:4::5:6:7:8", "12345::", "::1/64", "1.2.3.4::",
     "::\uff11", "1.2.3.4\n", "0x1.0.0.1", "1" * 5000 + ".0.0.1", ":::", "192.0.2.-1"],
)  # fmt: skip
def test_invalid_address_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="want an IPv4 or IPv6 address"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.168.1.10/24", "192.168.1.0/24"),
        ("192.168.1.10/032", "192.168.1.10/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::5/64", "2001:db8::/64"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.1.2.3/96", "0.0.0.0/0"),
        ("::ffff:10.0.0.0/64", "::/64"),
        ("10.0.0.0/" + "0" * 20 + "8", "10.0.0.0/8"),
    ],
)
def test_prefixes_lose_their_host_bits(text: str, expected: str) -> None:
    assert parse_cidr(text) == ip_network(expected)


@pytest.mark.parametrize(
    "text",
    ["192.0.2.0", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/255.255.255.0", "192.0.2.0/",
     "2001:db8::/129", "10.0.0.0/\u0668", "10.0.0.0/+8", "fe80::%1/64", "10.0.0.0/24/1",
     "/24", "192.0.2.0/2 4", "192.0.2.0/" + "1" * 5000],
)  # fmt: skip
def test_invalid_prefix_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="want"):
        parse_cidr(text)


def test_a_range_becomes_the_fewest_prefixes_lowest_first() -> None:
    assert [str(cidr) for cidr in parse_range("192.168.1.240 - 192.168.1.250")] == [
        "192.168.1.240/29",
        "192.168.1.248/31",
        "192.168.1.250/32",
    ]
    assert [str(c) for c in parse_range("2001:db8::1-2001:db8::2")] == [
        "2001:db8::1/128",
        "2001:db8::2/128",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x-10.0.0.2", 'invalid IP range "x-10.0.0.2": invalid start IP "x"'),
        ("10.0.0.1-10.0.0.x", 'invalid IP range "10.0.0.1-10.0.0.x": invalid end IP "10.0.0.x"'),
        ("10.0.0.1-", 'invalid IP range "10.0.0.1-": invalid end IP ""'),
        ("10.0.0.2-10.0.0.1", 'start IP "10.0.0.2" is after the end IP "10.0.0.1"'),
        ("10.0.0.1-fd00::1", "are of different families"),
    ],
)
def test_invalid_range_is_rejected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse_range(text)


@given(st.integers(0, 2**32 - 1), st.integers(0, 3000))
def test_a_range_covers_exactly_its_addresses(first: int, size: int) -> None:
    last = min(first + size, 2**32 - 1)
    cidrs = parse_range(f"{ip_address(first)}-{ip_address(last)}")
    assert int(cidrs[0][0]) == first
    assert int(cidrs[-1][-1]) == last
    for before, after in itertools.pairwise(cidrs):
        assert int(before[-1]) + 1 == int(after[0])
        if before.prefixlen == after.prefixlen:  # otherwise they would be one prefix
            assert before.supernet() != after.supernet()


def test_address_family_of_one_or_two_addresses() -> None:
    four, six = ip_address("192.0.2.1"), ip_address("2001:db8::1")
    assert AddressFamily.of(six) is AddressFamily.IPV6
    assert families_of([four]) == (AddressFamily.IPV4,)
    assert families_of([six, four]) == (AddressFamily.IPV6, AddressFamily.IPV4)
    with pytest.raises(ValueError, match=r'same address family \["192\.0\.2\.1" "192\.0\.2\.1"\]'):
        families_of([four, four])
    with pytest.raises(ValueError, match="invalid ips length 3"):
        families_of([four, six, six])
    with pytest.raises(ValueError, match="invalid ips length 0"):
        families_of([])


@pytest.mark.parametrize(
    ("text", "family", "version", "label"),
    [("192.0.2.1", 1, 4, "ipv4"), ("2001:db8::1", 2, 6, "ipv6")],
)
def test_a_family_has_bgps_number_and_a_label(
    text: str, family: int, version: int, label: str
) -> None:
    of_address = AddressFamily.of(ip_address(text))
    assert of_address == AddressFamily.of(ip_network(text)) == family
    assert (of_address.version, of_address.label) == (version, label)


def test_lists_print_as_go_prints_them() -> None:
    assert go_quote_list(map(ip_address, ("10.0.0.1", "fd00::1"))) == '["10.0.0.1" "fd00::1"]'
    assert go_quote_list([]) == "[]"


def test_port_follows_an_ipv6_address_in_brackets() -> None:
    assert join_host_port(ip_address("10.0.0.1"), 179) == "10.0.0.1:179"
    assert join_host_port(ip_address("fd00::1"), 179) == "[fd00::1]:179"
    assert join_host_port("fe80::1%eth0", 179) == "[fe80::1%eth0]:179"
    assert join_host_port("api.example", "443") == "api.example:443"
