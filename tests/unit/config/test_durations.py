"""Durations as parsed by Go's time package."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from metallb_py.config.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", "90"),
        ("1m30s", "90"),
        ("1.5h", "5400"),
        ("500ms", "0.5"),
        ("-3s", "-3"),
        ("+3s", "3"),
        ("0", "0"),
        (".5s", "0.5"),
        ("1.s", "1"),
        ("3us", "0.000003"),
        ("3µs", "0.000003"),
        ("7ns", "0.000000007"),
        ("0" * 99 + "3s", "3"),
        ("9223372036854775807ns", "9223372036.854775807"),
        ("0.0000000000000000009999h", "0"),
    ],
)
def test_valid_durations_are_parsed(text: str, seconds: str) -> None:
    assert parse_duration(text) == Decimal(seconds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 'time: invalid duration ""'),
        ("90", 'time: missing unit in duration "90"'),
        ("90x", 'time: unknown unit "x" in duration "90x"'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("-", 'time: invalid duration "-"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("1" * 1_300_000 + "s", "time: invalid duration"),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_invalid_duration_is_rejected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse_duration(text)
