"""Addresses that neither a host nor a service can use."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from metallb_py.config.compile.usable import unusable_as_host, unusable_part


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("239.255.0.1", "multicast"),
        ("ff05::2", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("0.0.0.1", '"this network" (RFC 791)'),
        ("0.255.255.255", '"this network" (RFC 791)'),
        ("127.0.0.1", ""),
        ("10.0.0.255", ""),
        ("fe80::1", ""),
        ("255.255.255.254", ""),
    ],
)
def test_address_unusable_as_a_host(text: str, reason: str) -> None:
    assert unusable_as_host(ip_address(text)) == reason


@pytest.mark.parametrize(
    ("text", "routed", "block"),
    [
        ("10.0.0.0/8", True, None),
        ("fd00::/8", True, None),
        ("fe80::/64", False, None),
        ("fe80::/64", True, "fe80::/10"),
        ("240.0.0.0/5", False, None),
        ("240.0.0.0/4", False, "255.255.255.255/32"),
        ("0.0.0.1/32", False, "0.0.0.0/8"),
        ("0.0.0.0/1", False, "0.0.0.0/8"),
        ("::2/128", False, None),
        ("::/127", False, "::/128"),
        ("8000::/1", False, "ff00::/8"),
    ],
)
def test_unusable_part_of_a_prefix(text: str, routed: bool, block: str | None) -> None:
    found = unusable_part(ip_network(text), routed=routed)
    assert (str(found[0]) if found else None) == block
