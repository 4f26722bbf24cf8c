"""BGP communities as text."""

from __future__ import annotations

import re

import pytest

from metallb_py.config.communities import parse_community, resolve_community
from metallb_py.config.model import Community


def test_two_numbers_of_sixteen_bits() -> None:
    assert parse_community("64512:1") == 64512 << 16 | 1
    assert parse_community("65535:65281") == 0xFFFFFF01
    assert parse_community("0:" + "0" * 30 + "7") == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("64512", 'invalid community string "64512"'),
        ("1:2:3", 'invalid community string "1:2:3"'),
        ("65536:1", 'invalid first section of community "65536:1"'),
        ("1:x", 'invalid second section of community "1:x"'),
        ("1:1_0", 'invalid second section of community "1:1_0"'),
        ("1:\u0661", "invalid second section"),
        (":1", 'invalid first section of community ":1"'),
        ("1:-1", 'invalid second section of community "1:-1"'),
        ("no-export", 'invalid community string "no-export"'),
    ],
)
def test_what_is_no_community(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_community(text)


def test_aliases_come_before_numbers() -> None:
    aliases = {"1:2": Community(9)}
    assert resolve_community("1:2", aliases) == 9
    assert resolve_community("1:3", aliases) == 1 << 16 | 3
    with pytest.raises(ValueError, match='invalid community "x" in BGP advertisement: invalid'):
        resolve_community("x", aliases)
