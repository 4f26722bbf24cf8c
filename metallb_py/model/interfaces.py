"""Interface name matching, apart from the model so that the responder process imports no more."""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.model.patterns import PatternError, compile_pattern


def matches_interface(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns matches the whole name, or the list is empty.

    A pattern that is not a valid regular expression matches its own text only. Only a draining
    pool stored by an earlier release can have one.
    """
    wanted = tuple(patterns)
    return not wanted or any(_matches(pattern, name) for pattern in wanted)


def _matches(pattern: str, name: str) -> bool:
    try:
        return compile_pattern(pattern).matches(name)
    except PatternError:
        return pattern == name
