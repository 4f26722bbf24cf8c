"""Patterns that name network interfaces. By themselves, for a small process needs no more."""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.model.patterns import PatternError, compile_pattern


def matches_interface(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns matches the whole name, or there are none.

    A pattern that is no regular expression, which only a draining pool of an earlier release can
    have, matches its own text alone.
    """
    wanted = tuple(patterns)
    return not wanted or any(_matches(pattern, name) for pattern in wanted)


def _matches(pattern: str, name: str) -> bool:
    try:
        return compile_pattern(pattern).matches(name)
    except PatternError:
        return pattern == name
