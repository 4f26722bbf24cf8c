"""Conflicts that keep two services from sharing an address, each with a text of its own."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from controller.requests import SharingTerms
from controller.sharing import Clash, clash, describe_conflict

HTTP = frozenset({("TCP", 80)})
TLS = frozenset({("TCP", 443)})
WE = SharingTerms("k", "", HTTP)
PREFIX = 'can\'t change sharing key for "ns/we", address also in use by ns/other: 192.0.2.1: '


@pytest.mark.parametrize(
    ("ours", "theirs", "reason", "detail", "port_clash"),
    [
        (
            SharingTerms("", "", TLS),
            WE,
            Clash.NO_KEY,
            PREFIX + "it has no sharing key",
            False,
        ),
        (
            WE,
            SharingTerms("", "", HTTP),
            Clash.OTHER_HAS_NO_KEY,
            PREFIX + "ns/other has no sharing key",
            True,
        ),
        (
            SharingTerms("secret", "", TLS),
            WE,
            Clash.KEYS_DIFFER,
            PREFIX + "its sharing key is not that of ns/other",
            False,
        ),
        (
            SharingTerms("k", "app=a", TLS),
            WE,
            Clash.POLICIES_DIFFER,
            PREFIX + "its externalTrafficPolicy is not that of ns/other",
            False,
        ),
        (
            SharingTerms("k", "app=a", TLS),
            SharingTerms("k", "app=b", HTTP),
            Clash.SELECTORS_DIFFER,
            PREFIX + "its selector is not that of ns/other (externalTrafficPolicy: Local)",
            False,
        ),
        (
            SharingTerms("k", "", HTTP | TLS),
            WE,
            Clash.PORT_IN_USE,
            'port TCP/80 is already in use on "192.0.2.1" by ns/other',
            True,
        ),
    ],
)
def test_reasons_of_sharing_conflicts(
    ours: SharingTerms, theirs: SharingTerms, reason: Clash, detail: str, port_clash: bool
) -> None:
    assert clash(ours, theirs) is reason
    conflict = describe_conflict("ns/we", ip_address("192.0.2.1"), ours, {"ns/other": theirs})
    assert (conflict.detail, conflict.port_clash) == (detail, port_clash)


def test_equal_keys_and_other_ports_do_not_clash() -> None:
    assert clash(WE, SharingTerms("k", "", TLS)) is None


def test_only_a_few_of_many_users_are_named() -> None:
    others = {f"ns/s{n}": SharingTerms("", "", TLS) for n in range(9)}
    conflict = describe_conflict("ns/we", ip_address("192.0.2.1"), WE, others)
    assert "ns/s0,ns/s1,ns/s2,ns/s3,ns/s4,and 4 more: " in conflict.detail
