"""Operators' regular expressions: linear time, bounded memory, one error."""

from __future__ import annotations

import re
import tracemalloc

import pytest

from metallb_py.model.patterns import MAX_LENGTH, PatternError, compile_pattern, matches_interface

REJECTED = [
    ("eth[", "missing ]"),
    ("eth(", "missing )"),
    ("eth{1001}", "at most 1000 times"),
    ("eth{99999999999}", "at most 1000 times"),
    ("eth{0,99999999999}", "at most 1000 times"),
    (f"eth{{{'9' * 200}}}", "at most 1000 times"),
    ("((a{100}){100}){100}", "repetition"),
    ("(" * 3000 + ")" * 3000, f"want at most {MAX_LENGTH}"),
    ("a" * (MAX_LENGTH + 1), f"want at most {MAX_LENGTH}"),
    ("(" * 128, "missing )"),
    (r"(eth)\1", "invalid escape sequence"),
    ("(?=eth)", "invalid perl operator"),
    ("(?<!eth)", "invalid perl operator"),
    (r"eth\Z", "invalid escape sequence"),
    ("\\", "trailing"),
    ("a**", "repetition"),
    ("\ud800", "surrogate"),
]


@pytest.mark.parametrize(("text", "error"), REJECTED, ids=[error for _, error in REJECTED])
def test_invalid_regular_expression_is_rejected(text: str, error: str) -> None:
    with pytest.raises(PatternError, match=re.escape(error)):
        compile_pattern(text)


@pytest.mark.parametrize(
    ("text", "name", "whole", "part"),
    [
        ("eth0", "eth0", True, True),
        ("eth", "eth0", False, True),
        ("^veth.*", "veth12", True, True),
        ("^veth", "my-veth", False, False),
        (r"eth\d+", "eth10", True, True),
        ("(?i)ETH0", "eth0", True, True),
        (r"eth0\z", "eth0", True, True),
        ("", "eth0", False, True),
        (".*", "\udcff", True, True),
        (r"eth\0", "eth\0", True, True),
        ("(" * 128 + ")" * 128, "", True, True),
    ],
)
def test_pattern_matches_the_whole_name_or_a_part(
    text: str, name: str, whole: bool, part: bool
) -> None:
    pattern = compile_pattern(text)
    assert pattern.matches(name) is whole
    assert pattern.is_found_in(name) is part


@pytest.mark.parametrize(
    "text", ["(?:(?:.|.)*)*X", "(a+)+X", "(a|a?)+X", "(.*)*(.*)*(.*)*X", "(?:a?){500}a{500}"]
)
def test_matching_takes_linear_time(text: str) -> None:
    # Python's own engine takes years for most of these; no interface has a name of this length.
    assert not compile_pattern(text).matches("a" * 400)


def test_memory_of_compiled_patterns_is_bounded() -> None:
    tracemalloc.start()
    for number in range(2000):
        compile_pattern(f"eth{number}.*")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_pattern_rejected_since_an_earlier_release_matches_itself() -> None:
    assert matches_interface(("(?=eth", "eth0"), "(?=eth")
    assert not matches_interface(("(?=eth.)eth0",), "eth0")


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        ((), "eth0", True),
        (("eth0",), "eth0", True),
        (("eth",), "eth0", False),
        (("eth.",), "eth0", True),
        (("eth0",), "myeth0", False),
        (("bond.*", "ens2f[01]"), "ens2f1", True),
        (("bond.*", "ens2f[01]"), "ens2f2", False),
    ],
)
def test_interface_pattern_matches_the_whole_name(
    patterns: tuple[str, ...], name: str, matches: bool
) -> None:
    assert matches_interface(patterns, name) is matches
