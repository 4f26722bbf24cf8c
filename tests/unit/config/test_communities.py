"""BGP communities in text form."""

from __future__ import annotations

import re

import pytest

from metallb_py.config.communities import (
    AnyCommunity,
    parse_community,
    parse_large,
    resolve_community,
    resolve_large,
)
from metallb_py.model.route_attributes import Community


def test_community_is_two_numbers_of_16_bits() -> None:
    assert parse_community("64512:1") == 64512 << 16 | 1
    assert parse_community("65535:65281") == 0xFFFFFF01
    assert parse_community("0:" + "0" * 30 + "7") == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64512", 'invalid community string "64512"'),
        ("1:2:3", 'invalid community string "1:2:3"'),
        ("65536:1", 'invalid first section of community "65536:1"'),
        ("1:x", 'invalid second section of community "1:x"'),
        ("1:1_0", 'invalid second section of community "1:1_0"'),
        ("1:\u0661", "invalid second section"),
        (":1", 'invalid first section of community ":1"'),
        ("1:-1", 'invalid second section of community "1:-1"'),
        ("NO-EXPORT", 'invalid community string "NO-EXPORT"'),
        ("large:1:2", 'invalid large community string "large:1:2"'),
        ("large:1:2:4294967296", 'invalid third section of community "large:1:2:4294967296"'),
    ],
)
def test_invalid_community_is_rejected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse_community(text)


def test_community_alias_takes_precedence_over_a_number() -> None:
    aliases = {"1:2": Community(9)}
    assert resolve_community("1:2", aliases) == 9
    assert resolve_community("1:3", aliases) == 1 << 16 | 3
    with pytest.raises(ValueError, match='invalid community "x" in BGP advertisement: invalid'):
        resolve_community("x", aliases)


@pytest.mark.parametrize(
    ("name", "value"),  # the IANA registry's numbers
    [
        ("graceful-shutdown", "65535:0"),
        ("no-llgr", "65535:7"),
        ("blackhole", "65535:666"),
        ("no-export", "65535:65281"),
        ("no-advertise", "65535:65282"),
        ("no-export-subconfed", "65535:65283"),
        ("no-peer", "65535:65284"),
    ],
)
def test_well_known_community_names(name: str, value: str) -> None:
    assert parse_community(name) == parse_community(value)


def test_alias_may_redefine_a_well_known_community() -> None:
    assert resolve_community("no-export", {"no-export": Community(7)}) == 7


def test_large_community_is_three_numbers_of_32_bits() -> None:
    assert parse_community("large:64512:1:2") == (64512, 1, 2)
    assert (
        parse_large("4294967295:0:1") == parse_large("large:4294967295:00:1") == (2**32 - 1, 0, 1)
    )
    with pytest.raises(ValueError, match='invalid large community string "1:2"'):
        parse_large("1:2")


def test_large_community_aliases_are_resolved() -> None:
    aliases: dict[str, AnyCommunity] = {"big": (1, 2, 3), "small": Community(9)}
    assert resolve_community("big", aliases) == resolve_large("big", aliases) == (1, 2, 3)
    assert resolve_large("4:5:6", aliases) == (4, 5, 6)
    with pytest.raises(ValueError, match='invalid large community "small"'):
        resolve_large("small", aliases)
    with pytest.raises(ValueError, match='invalid community "x" in BGP advertisement'):
        resolve_large("x", aliases)
